import {
  endedRollouts,
  memberNext,
  type MemberState,
  type Rollout,
  type RolloutMember,
  rolloutNext,
  type RolloutState,
  runningRollouts,
} from "@stampyard/domain";
import { createSeededRandom } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "./open.ts";
import type { Store, WriteContext } from "./port.ts";
import { openLed } from "./test-moves.ts";
import { startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { aimFixture, fleetOf, memberFixture, rolloutFixture, strategyFixture } from "./test-rollouts.ts";
import { digest, fleetFixture, releaseFixture, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const names = ["a", "b", "c", "d"];
const versions = ["1.0.0", "2.0.0", "3.0.0"];
type Dice = ReturnType<typeof createSeededRandom>;

const pick = <T>(dice: Dice, list: readonly T[]): T => list[Math.floor(dice.next() * list.length)] as T;

/** Any state that the tables allow next, sensible or not: the store has to hold its own. */
function nextState(dice: Dice, { state, waves }: Rollout): RolloutState {
  const kind = pick(dice, [state.kind, ...rolloutNext[state.kind]]);
  const now = state.kind === "paused" ? state.was.wave : "wave" in state ? state.wave : 0;
  const wave = Math.min(waves.length - 1, now + (dice.next() < 0.6 ? 1 : 0));
  switch (kind) {
    case "queued":
      return { kind, since: 1 };
    case "updating":
    case "approval":
      return { kind, wave, since: 1 };
    case "baking":
      return { kind, wave, since: 1, until: 2 };
    case "paused": {
      const was = { kind: "updating", wave: now, since: 1 } as const;
      return state.kind === "paused" ? state : { kind, since: 1, why: "a dice", by: "tester", was };
    }
    case "aborting":
      return { kind, since: 1, cause: "a dice", by: "tester" };
    case "aborted":
      return { kind, at: 1, cause: "a dice", by: "tester" };
    case "done":
      return { kind, at: 1 };
    case "superseded":
      return { kind, at: 1, by: "ro-newer" };
  }
}

function nextMember(dice: Dice, member: RolloutMember): RolloutMember {
  const next = memberNext[member.state.kind].filter((each) => member.state.kind !== "failed" || each !== "updating");
  const kind = pick(dice, [member.state.kind, ...next]);
  const states: Record<MemberState["kind"], MemberState> = {
    waiting: { kind: "waiting" },
    updating: { kind: "updating", since: 1 },
    updated: { kind: "updated", since: 1, at: 2 },
    failed: { kind: "failed", since: 1, at: 2, cause: "a dice" },
    returning: { kind: "returning", since: 1 },
    returned: { kind: "returned", at: 2 },
    skipped: { kind: "skipped", why: "a dice" },
  };
  return { ...member, state: states[kind] };
}

async function start(dice: Dice, store: Store, ctx: WriteContext): Promise<void> {
  const version = pick(dice, versions);
  const members = names
    .filter(() => dice.next() < 0.7)
    .map((name, n) => memberFixture(name, Math.min(n, 1), { to: aimFixture(name, version) }));
  const waves = rolloutFixture(["one", "two"]).waves;
  const strategy = { ...strategyFixture, onNewer: pick(dice, ["queue", "batch"] as const) };
  const rollout = { ...rolloutFixture([], { release: digest(version), waves, members, strategy }) };
  const fleet = await store.fleet.read();
  if (dice.next() < 0.5 || fleet === undefined) return void (await store.rollouts.start(rollout, ctx));
  const apply = { fleet: fleetFixture(), release: releaseFixture(version), stampCreates: [], stampUpdates: [] };
  const byRollout = { fleet: fleetFixture(), rollout };
  await store.fleet.apply({ ...apply, expectedRevision: fleet.revision, byRollout }, ctx);
}

async function act(dice: Dice, store: Store, ctx: WriteContext): Promise<void> {
  const roll = dice.next();
  const open = await store.rollouts.open();
  if (open.length < 2 || roll < 0.06) return start(dice, store, ctx);
  const id = dice.next() < 0.7 ? open[0] : pick(dice, open);
  if (roll < 0.2) {
    const kind = pick(dice, ["pause", "resume", "abort", "approve", "retry"] as const);
    return void (await store.rollouts.command(id ?? "", { kind }, {}, ctx));
  }
  if (roll < 0.28) {
    const stamp = await store.stamps.read(pick(dice, names));
    if (stamp === undefined) throw new RangeError("No stamp");
    const touched = { ...stamp.value, waitingOn: `a dice ${roll}` };
    return void (await store.stamps.write(touched, stamp.revision, {}, ctx));
  }
  const found = await store.rollouts.read(id ?? "");
  if (found === undefined) throw new RangeError("No rollout");
  const members = await store.rollouts.members(found.value.id);
  const [one, two] = [pick(dice, members), pick(dice, members)];
  const changed = one === undefined || two === undefined ? [] : one === two ? [one] : [one, two];
  const wanted = { ...found.value, state: nextState(dice, found.value) };
  const stepped = dice.next() < 0.4 ? [] : changed.map((member) => nextMember(dice, member));
  await store.rollouts.write(wanted, found.revision, stepped, ctx);
}

/** What must hold whatever was asked for, in whatever order it came. */
async function check(store: Store): Promise<void> {
  const { items } = await store.rollouts.list({ limit: 1_000 });
  const running = items.filter(({ value }) => runningRollouts.includes(value.state.kind));
  expect(running.length).toBeLessThanOrEqual(1);
  for (const { value } of running) {
    const { state } = value;
    const wave = state.kind === "paused" ? state.was.wave : "wave" in state ? state.wave : value.waves.length;
    for (const member of await store.rollouts.members(value.id)) {
      const stamp = await store.stamps.read(member.stamp);
      const { kind } = member.state;
      if (kind === "waiting" || kind === "skipped") continue;
      expect(member.wave).toBeLessThanOrEqual(wave);
      // One that a person tries again has a later time, and may be of a wave before.
      const isFirst = member.state.kind === "updating" && member.state.since === 1;
      if (isFirst && state.kind !== "aborting") expect(member.wave).toBe(wave);
      const aim = kind === "returning" || kind === "returned" ? member.from : member.to;
      expect(stamp?.value.stampDigest, `${member.stamp} is ${kind}`).toBe(aim.stampDigest);
    }
  }
}

test("random words, plans and applies from two processes never leave two at once, or a stamp aimed otherwise (I34)", async () => {
  const seed = Number(process.env["STAMPYARD_SEED"] ?? Date.now() % 1_000_000);
  const dice = createSeededRandom(seed);
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await using other = await openStore({ url, keys: testKeys });
  await fleetOf(store, ctx, names);
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 60; round++) {
    const results = await Promise.all(
      Array.from({ length: 5 }, (_, n) =>
        act(dice, n % 2 === 0 ? store : other, ctx).then(
          () => "ok",
          (error: { code?: string; message: string }) => error.code ?? error.message,
        ),
      ),
    );
    for (const result of results) outcomes.set(result, (outcomes.get(result) ?? 0) + 1);
    await check(store).catch((error: Error) => {
      error.message = `seed ${seed}, round ${round}: ${error.message}`;
      throw error;
    });
  }
  const expected = ["ok", "WRONG_PHASE", "STALE_REVISION"];
  expect(
    [...outcomes.keys()].filter((code) => !expected.includes(code)),
    `seed ${seed}`,
  ).toEqual([]);
  expect(outcomes.get("ok"), `seed ${seed}`).toBeGreaterThan(30);
  const ended = (await store.rollouts.list({ limit: 1_000 })).items.filter(({ value }) =>
    endedRollouts.includes(value.state.kind),
  );
  expect(ended.length, `seed ${seed}`).toBeGreaterThan(0);
  expect((await store.audit.list({ limit: 1_000 })).items.length).toBeGreaterThan(60);
}, 60_000);
