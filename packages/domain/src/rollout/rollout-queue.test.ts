import { expect, test } from "vitest";
import type { Rollout, RolloutMember, RolloutState } from "./rollout.ts";
import { behindWhom, covers, overlaps, whoTakesOver } from "./rollout-queue.ts";
import { aimOf, digest, strategyFor } from "./test-rollouts.ts";

const queued: RolloutState = { kind: "queued", since: 1 };
const running: RolloutState = { kind: "updating", wave: 0, since: 1 };

function rollout(id: string, over: Partial<Rollout> = {}, onNewer: "queue" | "batch" | "supersede" = "queue"): Rollout {
  return {
    id,
    release: digest(id),
    components: [],
    strategy: strategyFor({ onNewer }),
    waves: [],
    state: queued,
    hotfix: false,
    by: "ada",
    spent: { activeMs: 0, bakingMs: 0, waitingMs: 0 },
    looks: 0,
    hooksDone: [],
    ...over,
  };
}

function members(...releases: readonly string[]): RolloutMember[] {
  return releases.map((release, place): RolloutMember => {
    return { stamp: `s-${place}`, wave: 0, place, from: aimOf(release), to: aimOf("r9"), state: { kind: "waiting" } };
  });
}

test("overlaps() and covers() go by parts, and none named are all of them", () => {
  const parts = (...components: readonly string[]) => ({ components });
  expect(overlaps(parts("db"), parts("web"))).toBe(false);
  expect(overlaps(parts("db", "web"), parts("web"))).toBe(true);
  expect(overlaps(parts(), parts("web"))).toBe(true);
  expect(overlaps(parts("web"), parts())).toBe(true);
  expect(covers(parts(), parts("db"))).toBe(true);
  expect(covers(parts("db"), parts())).toBe(false);
  expect(covers(parts("db", "web"), parts("web"))).toBe(true);
  expect(covers(parts("web"), parts("db", "web"))).toBe(false);
});

test("behindWhom() lets one at a time run, hotfixes and those that take back before others, first come first served (I34)", () => {
  const open = [
    rollout("a"),
    rollout("b"),
    rollout("fix", { hotfix: true }),
    rollout("undo", { undoes: "z" }),
    rollout("db", { components: ["db"] }),
  ];
  const behind = open.map((one) => [one.id, behindWhom(one, open)]);
  expect(Object.fromEntries(behind)).toEqual({ fix: undefined, undo: "fix", a: "undo", b: "a", db: "b" });
  const busy = [...open, rollout("z", { state: running })];
  for (const one of open) expect(behindWhom(one, busy)).toBe("z");
  const paused = rollout("z", { state: { kind: "aborting", since: 1, cause: "x", by: "gate" } });
  expect(behindWhom(rollout("a"), [paused, rollout("a")])).toBe("z");
});

test("whoTakesOver() goes by the policies of both, and never loses a part or an urgent one", () => {
  const over = (older: Rollout, newer: Rollout, of = members("r0", "r0")) => whoTakesOver(older, of, [older, newer]);
  const at = { state: running };
  expect(over(rollout("a", at), rollout("b"))).toBeUndefined();
  expect(over(rollout("a", at), rollout("b", {}, "batch"))).toBeUndefined();
  expect(over(rollout("a", at), rollout("b", {}, "supersede"))).toBe("b");
  expect(over(rollout("a", at, "supersede"), rollout("b"))).toBe("b");
  expect(over(rollout("a"), rollout("b", {}, "batch"))).toBe("b");
  expect(over(rollout("a", {}, "batch"), rollout("b"))).toBe("b");
  expect(over(rollout("a"), rollout("b"))).toBeUndefined();
  expect(over(rollout("a", at), rollout("b", { components: ["db"] }, "supersede")), "parts are left").toBeUndefined();
  expect(over(rollout("a", at), rollout("b", { hotfix: true }))).toBe("b");
  expect(over(rollout("a", { hotfix: true }), rollout("b", {}, "batch")), "a hotfix waits on").toBeUndefined();
  expect(over(rollout("a", { ...at, undoes: "z" }), rollout("b", {}, "supersede"))).toBeUndefined();
  const [first, ...rest] = [rollout("a", at), rollout("b", {}, "supersede"), rollout("c", {}, "supersede")];
  expect(whoTakesOver(first, members("r0"), [first, ...rest]), "the newest").toBe("c");
  expect(whoTakesOver(rollout("c", {}, "supersede"), [], [first, ...rest]), "never an older one").toBeUndefined();
});

test("whoTakesOver() supersedes no rollout that found the fleet in pieces already, but for a hotfix", () => {
  const older = rollout("b", { state: running }, "supersede");
  const pieces = members("r0", "r1");
  expect(whoTakesOver(older, pieces, [older, rollout("c")])).toBeUndefined();
  expect(whoTakesOver(older, pieces, [older, rollout("c", { hotfix: true })])).toBe("c");
  const pinned = pieces.map((one, n) =>
    n === 0 ? one : { ...one, state: { kind: "skipped", why: "pinned" } as const },
  );
  expect(whoTakesOver(older, pinned, [older, rollout("c")])).toBe("c");
});
