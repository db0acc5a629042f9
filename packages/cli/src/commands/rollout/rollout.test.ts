import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutDetailView } from "@stampyard/api";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { problem, runLine, type StubAnswer, type StubApi, type StubRequest, stubFetch } from "../../test-io.ts";
import {
  aborted,
  at,
  baking,
  begun,
  digestOf,
  done,
  ended,
  looks,
  member,
  members,
  none,
  paused,
  releases,
} from "./test-rollouts.ts";

let dir: string;
let env: Readonly<Record<string, string>>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-rollout-"));
  writeFileSync(join(dir, "token"), "t\n");
  env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let sent: unknown[];
beforeEach(() => {
  sent = [];
});

const asking = (answer: StubAnswer) => (request: StubRequest) => {
  sent.push(request.body);
  return answer;
};
const run = (api: StubApi, ...argv: string[]) => runLine(argv, { env, fetch: stubFetch(api) });

describe("rollout watch", () => {
  const seen = members(member("shared-1", 0, { phase: "updated", since: at, at }), member("shared-2", 1));

  test("tells phases, waves, stamps and checks once each, and ends with 0 and the time split when it is done", async () => {
    const api: StubApi = { ...seen, "GET /v1/rollouts/ro-1": looks(begun, begun, baking, done) };
    const { code, out, err } = await run(api, "rollout", "watch", "ro-1");
    expect(code).toBe(0);
    expect(out).toBe("Release 1.1.0 is everywhere: 2 of 2 stamps updated; active 60 s, baking 10 min, waiting 0 ms\n");
    expect(err).toContain("updating; 0 of 2 stamps updated, 1 under way; waiting: stamp shared-1 to run 1.1.0");
    expect(err).toContain("baking until 05:12:00 UTC; 1 of 2 stamps updated; waiting: the bake of wave canary");
    expect(err).toContain("rollout ro-1 of 1.1.0 / wave canary / shared-1: done (updated, 1.0.0 to 1.1.0)");
    expect(err).toContain("gate: waiting (inconclusive, enough to tell in about 90 s)");
    expect(err).toContain("gate / errors: waiting (120 of 300 requests so far)");
    expect(err.match(/gate \/ health/g), "and nothing twice").toHaveLength(1);
    expect(err).toContain("stampyard rollout undo ro-1");
  });

  test.each(["json", "jsonl"])(
    "-o %s prints a line for each change, with the stamps, and nothing else",
    async (format) => {
      const later = { ...baking, revision: 9, spent: { activeMs: 1, bakingMs: 2, waitingMs: 3 } };
      const api: StubApi = { ...seen, "GET /v1/rollouts/ro-1": looks(begun, begun, baking, later, done) };
      const { code, out, err } = await run(api, "rollout", "watch", "ro-1", "-o", format);
      expect([code, err]).toEqual([0, ""]);
      const lines = out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { phase: string; stamps: unknown[] });
      expect(lines.map(({ phase }) => phase)).toEqual(["updating", "baking", "done"]);
      expect(lines[0]?.stamps).toHaveLength(2);
    },
  );

  test("ends with 1 when it was taken back, and says why", async () => {
    const back = members(member("shared-1", 0, { phase: "returned", at }), member("shared-2", 1));
    const { code, out, err } = await run(
      { ...back, "GET /v1/rollouts/ro-1": looks(aborted) },
      "rollout",
      "watch",
      "ro-1",
    );
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("error: Rollout ro-1 was taken back: errors: 6.1% beside 1.0% of siblings [ROLLOUT_ABORTED]");
  });

  test("ends with 3 when it waits for a person, or goes on looking with --stay", async () => {
    const halted: StubApi = { ...seen, "GET /v1/rollouts/ro-1": looks(baking, paused) };
    const { code, err } = await run(halted, "rollout", "watch", "ro-1");
    expect(code).toBe(3);
    expect(err).toContain("error: Rollout ro-1 is paused: too little traffic to judge [ROLLOUT_PAUSED]");
    const stayed: StubApi = { ...seen, "GET /v1/rollouts/ro-1": looks(baking, paused, done) };
    expect((await run(stayed, "rollout", "watch", "ro-1", "--stay")).code).toBe(0);
    const approval: RolloutDetailView = { ...baking, phase: "approval", wave: 1 };
    const wanted = await run({ ...seen, "GET /v1/rollouts/ro-1": looks(approval) }, "rollout", "watch", "ro-1");
    expect(wanted.code).toBe(3);
    expect(wanted.err).toContain("stampyard rollout approve ro-1");
  });

  test("a control plane that is away for a while does not end the looking, and time that runs out ends it with 3", async () => {
    let look = 0;
    const api: StubApi = {
      ...seen,
      "GET /v1/rollouts/ro-1": () => {
        look++;
        return look === 3
          ? { status: 503, json: problem(503, "NOT_LEADER", "It stands by") }
          : { json: look > 3 ? done : begun };
      },
    };
    expect((await run(api, "rollout", "watch", "ro-1")).code).toBe(0);
    const slow = await run(
      { ...seen, "GET /v1/rollouts/ro-1": looks(begun) },
      "rollout",
      "watch",
      "ro-1",
      "--timeout",
      "1",
    );
    expect(slow.code).toBe(3);
    expect(slow.err).toContain("is updating: stamp shared-1 to run 1.1.0 [TIMEOUT]");
  });

  test("without a name it is the one at work before those that wait for it, and Ctrl-C ends the looking only", async () => {
    const ctrl = new AbortController();
    const api: StubApi = {
      ...seen,
      "GET /v1/rollouts": { json: { items: [{ ...begun, id: "ro-2", phase: "queued" }, begun] } },
      "GET /v1/rollouts/ro-1": () => {
        ctrl.abort("SIGINT");
        return { json: begun };
      },
    };
    const { code, err } = await runLine(["rollout", "watch"], { env, fetch: stubFetch(api), signal: ctrl.signal });
    expect(code).toBe(130);
    expect(err).toMatch(/Interrupted|Rollout ro-1 is updating and goes on/);
  });
});

describe("rollout start", () => {
  test("sends release, strategy and reason, and follows to the end", async () => {
    const api: StubApi = {
      ...releases,
      ...members(member("shared-1", 0)),
      "POST /v1/rollouts": asking({ status: 202, json: { dryRun: false, rollout: begun } }),
      "GET /v1/rollouts/ro-1": looks(done),
    };
    const line = "rollout start --release 1.2.0 --canary shared-2 --bake 10m --max-unavailable 3 --components db,cache";
    const { code } = await run(api, ...line.split(" "), "--hotfix", "--reason", "CVE-1");
    expect(code).toBe(0);
    expect(sent).toEqual([
      {
        release: digestOf("c"),
        components: ["db", "cache"],
        strategy: { canary: { stamp: "shared-2" }, bake: "600000ms", maxUnavailable: 3 },
        hotfix: true,
        reason: "CVE-1",
      },
    ]);
  });

  test("--detach returns at once; what wants a reason is refused without a call", async () => {
    const api: StubApi = { "POST /v1/rollouts": asking({ status: 202, json: { dryRun: false, rollout: begun } }) };
    const { code, out, err } = await run(api, "rollout", "start", "--detach");
    expect([code, out]).toEqual([0, "Rollout ro-1 is updating\n"]);
    expect(err).toContain("stampyard rollout watch ro-1");
    for (const wrong of [["--hotfix"], ["--override-freeze"], ["--bake", "soon"], ["--max-unavailable", "0"]]) {
      const calls: string[] = [];
      const ran = await runLine(["rollout", "start", ...wrong], { env, fetch: stubFetch(api, calls) });
      expect([ran.code, calls], wrong.join(" ")).toEqual([1, []]);
    }
  });

  test("--dry-run prints waves with their traffic, the canary and why, who is left out, and what the gate could see", async () => {
    let query = "";
    const preview = {
      release: digestOf("b"),
      version: "1.1.0",
      components: [],
      hotfix: false,
      strategy: begun.strategy,
      waves: [
        {
          ...begun.waves[0],
          members: [{ stamp: "shared-2", from: digestOf("a"), to: digestOf("b"), perMinute: 120 }],
        },
        { ...begun.waves[1], members: [{ stamp: "shared-1", from: digestOf("a"), to: digestOf("b") }] },
      ],
      canary: { stamp: "shared-2", why: "the least traffic that can be judged: 120 a minute" },
      skipped: [{ stamp: "shared-3", why: "it is pinned until Friday" }],
      power: ["errors: an increase of 5 points is seen by 99%"],
      frozen: ["window weekend until Monday"],
      waysBack: [],
      notes: [],
      takesMs: 720_000,
    };
    const api: StubApi = {
      "POST /v1/rollouts": (request) => {
        query = request.query.toString();
        return { status: 202, json: { dryRun: true, preview } };
      },
    };
    const { code, out } = await run(api, "rollout", "start", "--dry-run");
    expect([code, query]).toEqual([0, "dryRun=true"]);
    expect(out).toMatch(/^Canary: +shared-2: the least traffic that can be judged: 120 a minute$/m);
    expect(out).toMatch(/^Takes about: +12 min$/m);
    expect(out).toMatch(/^canary +shared-2 +120 +10 min +1 +-$/m);
    expect(out).toMatch(/^shared-3 +it is pinned until Friday$/m);
    expect(out).toContain("What the gate can see:\n  errors: an increase of 5 points is seen by 99%\n");
    expect(out).toContain("Frozen:\n  window weekend until Monday\n");
    expect(out).toMatch(/Nothing was changed\n$/);
  });
});

describe("what a person says to a rollout", () => {
  const api = (verb: string, answer: RolloutDetailView): StubApi => ({
    "GET /v1/rollouts": { json: { items: [begun] } },
    [`POST /v1/rollouts/ro-1/${verb}`]: asking({ status: 202, json: answer }),
  });

  test.each([
    ["pause", paused, "Rollout ro-1 is paused; updates under way end\n"],
    ["resume", baking, "Rollout ro-1 goes on: baking\n"],
    ["approve", { ...begun, wave: 1 }, "Rollout ro-1 goes on with wave rest\n"],
    ["retry", begun, "Rollout ro-1 tries its failed stamps again: 1 under way\n"],
  ] as const)("%s is said of the one that goes on, with its reason", async (verb, answer, said) => {
    const { code, out } = await run(api(verb, answer), "rollout", verb, "--reason", "so");
    expect([code, out]).toEqual([0, said]);
    expect(sent).toEqual([{ reason: "so" }]);
  });

  test("promote says whether it means all waves", async () => {
    await run(api("promote", begun), "rollout", "promote");
    const { out } = await run(api("promote", begun), "rollout", "promote", "--full");
    expect(sent).toEqual([{ full: false }, { full: true }]);
    expect(out).toContain("goes on past all its bakes");
  });

  test("abort follows until every stamp is back, and that is a success", async () => {
    const aborting = {
      ...ended,
      phase: "aborting",
      members: { ...none, returning: 1 },
    } as unknown as RolloutDetailView;
    const all: StubApi = {
      ...members(member("shared-1", 0, { phase: "returning", since: at })),
      ...api("abort", aborting),
      "GET /v1/rollouts/ro-1": looks(begun, aborting, aborted),
    };
    const { code, out } = await run(all, "rollout", "abort", "ro-1", "--reason", "orders are slow");
    expect([code, out]).toEqual([0, "Rollout ro-1 is taken back: 0 of 2 stamps updated, 1 back on what they ran\n"]);
    expect(sent).toEqual([{ reason: "orders are slow" }]);
  });

  test("undo follows the new rollout", async () => {
    const back: RolloutDetailView = { ...done, id: "ro-2", undoes: "ro-1" };
    const all: StubApi = {
      "GET /v1/rollouts/ro-1": looks(done),
      "POST /v1/rollouts/ro-1/undo": asking({ status: 202, json: { ...back, phase: "queued" } }),
      "GET /v1/rollouts/ro-2": looks(back),
      "GET /v1/rollouts/ro-2/members": { json: { items: [] } },
    };
    const { code } = await run(all, "rollout", "undo", "ro-1", "--override-freeze", "--reason", "reports are wrong");
    expect(code).toBe(0);
    expect(sent).toEqual([{ reason: "reports are wrong", overrideFreeze: true }]);
  });
});
