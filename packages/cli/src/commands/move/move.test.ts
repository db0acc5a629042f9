import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MoveView } from "@stampyard/api";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { problem, runLine, type StubAnswer, type StubApi, type StubRequest, stubFetch } from "../../test-io.ts";

let dir: string;
let env: Readonly<Record<string, string>>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-move-"));
  writeFileSync(join(dir, "token"), "t\n");
  env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const at = "2026-11-23T05:00:00.000Z";
const begun: MoveView = {
  id: "mv-1",
  tenant: "acme",
  from: "shared-1",
  to: "shared-2",
  epoch: 1,
  phase: "requested",
  goal: "finish",
  options: { mode: "capture", verify: "incremental", maxPauseMs: 2_000, restMs: 3_600_000 },
  accepted: false,
  report: {},
  revision: 1,
  createdAt: at,
  updatedAt: at,
};
const progress = {
  step: "copy",
  table: "public.notes",
  tablesDone: 1,
  tables: 3,
  rows: 1_200,
  bytes: 2_100_000,
  ofRows: 5_000,
  ofBytes: 9_000_000,
  rowsPerSecond: 812.4,
  etaMs: 4_700,
  lag: 1,
  at,
} as const;
const copying: MoveView = { ...begun, phase: "copying", progress };
const decided = { at, outcome: "decided", holdMs: 8, fencedMs: 51, pauseMs: 93, rows: 12 } as const;
const resting: MoveView = {
  ...begun,
  phase: "resting",
  pauseMs: 93,
  wayBackUntil: "2026-11-23T06:00:00.000Z",
  report: {
    expected: { tables: 3, rows: 5_000, bytes: 9_000_000 },
    copied: { rows: 5_012, bytes: 9_100_000, ms: 1_300 },
    followed: { changes: 240, rounds: 3 },
    compared: { policy: "incremental", rows: 5_012, isEqual: true, differences: [] },
    switches: [
      { at, outcome: "opened-again", cause: "a holder older than 200 ms", holdMs: 8, fencedMs: 0, rows: 0 },
      decided,
    ],
  },
};
const aborted: MoveView = { ...begun, phase: "aborted", cause: "the source's table public.notes has no key" };

let sent: unknown[];
beforeEach(() => {
  sent = [];
});

/** Answers looks one after the other; the last repeats. */
function looks(...moves: readonly MoveView[]): () => StubAnswer {
  const left = [...moves];
  return () => ({ json: left.length > 1 ? left.shift() : left[0] });
}
const asking = (answer: StubAnswer) => (request: StubRequest) => {
  sent.push(request.body);
  return answer;
};
const run = (api: StubApi, ...argv: string[]) => runLine(argv, { env, fetch: stubFetch(api) });
const create = (move: MoveView) => asking({ status: 202, json: { dryRun: false, move } });

describe("tenant move", () => {
  test("waits until the tenant is served by its target, and ends with the measured write pause", async () => {
    const api = { "POST /v1/moves": create(begun), "GET /v1/moves/mv-1": looks(copying, resting) };
    const { code, out, err } = await run(api, "tenant", "move", "acme", "--to", "shared-2", "--max-pause", "1.5s");
    expect(code).toBe(0);
    expect(sent).toEqual([
      { tenant: "acme", to: "shared-2", mode: "capture", verify: "incremental", maxPauseMs: 1_500, restMs: 3_600_000 },
    ]);
    expect(out).toBe(
      "Tenant acme is on shared-2; writes paused for 93 ms (closed for 51 ms, 12 rows brought or compared meanwhile, at try 2)\n",
    );
    expect(err).toContain(
      "acme from shared-1 to shared-2: working (copying: copies public.notes, 1 of 3 tables done, 1,200 of 5,000 rows, 2.1 MB, 812 rows/s, 4.7 s left, 1 change behind)",
    );
    expect(err).toContain("stampyard move rollback mv-1");
  });

  test("--no-wait answers at once and says how to look; -o json prints the move and nothing else", async () => {
    const api = { "POST /v1/moves": create(begun), "GET /v1/moves/mv-1": looks(resting) };
    const { out, err } = await run(api, "tenant", "move", "acme", "--to-pool", "gold", "--no-wait", "--way-back", "0");
    expect(out).toBe("Move mv-1 takes tenant acme from shared-1 to shared-2\n");
    expect(err).toContain("stampyard move watch mv-1");
    expect(sent).toMatchObject([{ toPool: "gold", restMs: 0 }]);
    const json = await run(api, "tenant", "move", "acme", "-o", "json");
    expect(json).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(json.out)).toEqual(resting);
  });

  test("--dry-run prints who goes where, tables, problems with mends and the estimate; 1 if it would be refused", async () => {
    const proposal = {
      tenant: "acme",
      from: "shared-1",
      to: "shared-2",
      epoch: 3,
      problems: [{ where: "table public.notes", what: "it has no primary key", mend: "Add one" }],
      warnings: [{ where: "stamp shared-2", what: "it is nearly full", mend: "Build another" }],
      tables: [
        { table: "public.notes", kind: "tenant", rows: 5_000, bytes: 9_000_000 },
        { table: "public.lines", kind: "tenant", rows: 2, bytes: 100, via: ["public.notes"] },
        { table: "public.plans", kind: "reference", rows: 0, bytes: 0 },
      ],
      rows: 5_002,
      bytes: 9_000_100,
      estimate: { totalMs: 2_400, pauseMs: 200, basedOn: 0 },
    };
    let query = "";
    const api: StubApi = {
      "POST /v1/moves": (request) => {
        query = request.query.toString();
        return { status: 202, json: { dryRun: true, proposal } };
      },
    };
    const { code, out } = await run(api, "tenant", "move", "acme", "--to", "shared-2", "--dry-run");
    expect([code, query]).toEqual([1, "dryRun=true"]);
    expect(out).toMatch(/^Size: +5,002 rows, 9\.0 MB$/m);
    expect(out).toMatch(/^Takes about: +2\.4 s, of which writes pause 200 ms \(assumed, no move was measured yet\)$/m);
    expect(out).toMatch(/^public\.lines +tenant +2 +100 B +public\.notes$/m);
    expect(out).toMatch(/^public\.plans +reference +- +- +-$/m);
    expect(out).toContain("problem: table public.notes: it has no primary key\n  try: Add one\n");
    expect(out).toContain("1 problem: it would be refused, and nothing was changed\n");
    proposal.problems = [];
    const free = await run(api, "tenant", "move", "acme", "--to", "shared-2", "--dry-run");
    expect(free.code).toBe(0);
    expect(free.out).toContain("Nothing stands in its way; nothing was changed\n");
  });

  test("an aborted and a disputed move are errors that say where the tenant is", async () => {
    const api = { "POST /v1/moves": create(begun), "GET /v1/moves/mv-1": looks(aborted) };
    const { code, out, err } = await run(api, "tenant", "move", "acme", "--to", "shared-2");
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(
      "error: Move mv-1 of tenant acme was aborted: the source's table public.notes has no key [MOVE_ABORTED]",
    );
    expect(err).toContain("stampyard tenant move acme --to shared-2 --dry-run");
    const disputed: MoveView = { ...begun, phase: "disputed", cause: "the copies differ" };
    const other = await run({ ...api, "GET /v1/moves/mv-1": looks(disputed) }, "tenant", "move", "acme");
    expect(other.code).toBe(1);
    expect(other.err).toContain("error: Tenant acme is on shared-2, and the copies differ [NOT_EQUAL]");
  });

  test("ends with 3 when time runs out, and with 130 on Ctrl-C: the move goes on, and it says how to look", async () => {
    const waiting: MoveView = { ...begun, phase: "copying", waitingOn: "2 captured changes to be brought" };
    const ctrl = new AbortController();
    const api: StubApi = { "POST /v1/moves": create(begun), "GET /v1/moves/mv-1": looks(waiting) };
    const late = await run(api, "tenant", "move", "acme", "--timeout", "1");
    expect(late.code).toBe(3);
    expect(late.err).toContain("is copying: 2 captured changes to be brought [TIMEOUT]");
    expect(late.err).toContain("stampyard move abort mv-1");
    const interrupted: StubApi = {
      ...api,
      "GET /v1/moves/mv-1": () => {
        ctrl.abort("SIGINT");
        return { json: waiting };
      },
    };
    const fetch = stubFetch(interrupted);
    const { code, err } = await runLine(["tenant", "move", "acme"], { env, fetch, signal: ctrl.signal });
    expect(code).toBe(130);
    expect(err).toContain("Move mv-1 of tenant acme is copying and goes on\n  watch it:   stampyard move watch mv-1\n");
  });

  test("a control plane that is away for a while does not end the looking", async () => {
    let look = 0;
    const api: StubApi = {
      "POST /v1/moves": create(begun),
      "GET /v1/moves/mv-1": () => {
        look++;
        return look < 3 ? { status: 503, json: problem(503, "NOT_LEADER", "It stands by") } : { json: resting };
      },
    };
    expect((await run(api, "tenant", "move", "acme")).code).toBe(0);
    expect(look).toBe(3);
  });

  test("what the server refuses is shown with its problems, and wrong options need no call", async () => {
    const api: StubApi = {
      "POST /v1/moves": {
        status: 409,
        json: problem(409, "MOVE_REFUSED", "The tenant cannot move", {
          problems: [{ message: "table public.notes: no key", mend: "Add one." }],
        }),
      },
    };
    const { code, err } = await run(api, "tenant", "move", "acme");
    expect(code).toBe(1);
    expect(err).toContain("table public.notes: no key\n  try: Add one.");
    for (const wrong of [
      ["--max-pause", "1h"],
      ["--mode", "magic"],
      ["--way-back", "soon"],
      ["--to", "a", "--to-pool", "b"],
    ]) {
      const calls: string[] = [];
      const ran = await runLine(["tenant", "move", "acme", ...wrong], { env, fetch: stubFetch(api, calls) });
      expect([ran.code, calls], wrong.join(" ")).toEqual([1, []]);
    }
  });
});

describe("move", () => {
  test("list prints phase, write pause and what each waits for", async () => {
    let query = "";
    const api: StubApi = {
      "GET /v1/moves": (request) => {
        query = request.query.toString();
        return { json: { items: [resting, { ...copying, waitingOn: "its rows to be copied" }, aborted] } };
      },
    };
    const { out } = await run(api, "move", "list", "--open", "--stamp", "shared-2");
    expect(query).toBe("limit=100&stamp=shared-2&open=true");
    expect(out).toMatch(/^mv-1 +acme +shared-1 +shared-2 +resting +93 ms +\w+ +-$/m);
    expect(out).toMatch(/^mv-1 +acme +shared-1 +shared-2 +copying +- +\w+ +its rows to be copied$/m);
    expect(out).toMatch(/the source's table public\.notes has no key$/m);
  });

  test("show takes a tenant's key for its latest move, and prints what was measured and what comes next", async () => {
    const api: StubApi = {
      "GET /v1/moves/acme": { status: 404, json: problem(404, "NOT_FOUND", "No move acme") },
      "GET /v1/moves": ({ query }) => ({ json: { items: query.get("tenant") === "acme" ? [resting] : [] } }),
      "GET /v1/moves/none": { status: 404, json: problem(404, "NOT_FOUND", "No move none") },
    };
    const { out } = await run(api, "move", "show", "acme");
    expect(out).toMatch(/^Options: +capture, verify incremental, pause at most 2\.0 s, way back 60 min$/m);
    expect(out).toMatch(/^Copied: +5,012 rows, 9\.1 MB in 1\.3 s \(7\.0 MB\/s\)$/m);
    expect(out).toMatch(/^Followed: +240 changes in 3 rounds$/m);
    expect(out).toMatch(/^Compared: +equal, 5,012 rows \(incremental\)$/m);
    expect(out).toMatch(/^Write pause: +93 ms \(closed for 51 ms, /m);
    expect(out).toMatch(/opened again +8 ms +0 ms +a holder older than 200 ms$/m);
    expect(out).toContain("stampyard move finish mv-1\n");
    const none = await run(api, "move", "show", "none");
    expect(none.code).toBe(1);
    expect(none.err).toContain('No move "none"');
  });

  test("watch -o jsonl prints the move once for each change", async () => {
    const api = { "GET /v1/moves/mv-1": looks(copying, copying, { ...copying, revision: 2 }, resting) };
    const { code, out, err } = await run(api, "move", "watch", "mv-1", "-o", "jsonl");
    expect([code, err]).toEqual([0, ""]);
    const lines = out.trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as MoveView).phase)).toEqual(["copying", "resting"]);
  });

  test("abort says that the tenant stays, or that it came too late", async () => {
    const asked = { ...copying, goal: "abort" } as const;
    const api: StubApi = {
      "GET /v1/moves/mv-1": looks(copying, { ...asked, phase: "aborting" }, aborted),
      "POST /v1/moves/mv-1/abort": asking({ status: 202, json: asked }),
    };
    const { code, out } = await run(api, "move", "abort", "mv-1", "--reason", "not now");
    expect([code, out]).toEqual([0, "Move mv-1 is aborted: tenant acme stays on shared-1\n"]);
    expect(sent).toEqual([{ reason: "not now" }]);
    const late = await run({ ...api, "GET /v1/moves/mv-1": looks(resting) }, "move", "abort", "mv-1");
    expect(late.code).toBe(1);
    expect(late.err).toContain(
      "tenant acme is on shared-2 [WRONG_PHASE]\n  try: Take it back with stampyard move rollback mv-1.",
    );
  });

  test("rollback follows the move that takes it back; finish says what was erased", async () => {
    const back: MoveView = { ...begun, id: "mv-1-back", from: "shared-2", to: "shared-1", returns: "mv-1" };
    const api: StubApi = {
      "GET /v1/moves/mv-1": { json: resting },
      "POST /v1/moves/mv-1/rollback": asking({ status: 202, json: back }),
      "GET /v1/moves/mv-1-back": looks({ ...back, phase: "resting", pauseMs: 40, report: { switches: [decided] } }),
    };
    const { code, out } = await run(api, "move", "rollback", "mv-1", "--way-back", "30m");
    expect(code).toBe(0);
    expect(sent).toEqual([{ restMs: 1_800_000 }]);
    expect(out).toMatch(/^Tenant acme is on shared-1; writes paused for 40 ms/);
    const erased = {
      at,
      tables: [
        { table: "public.notes", rows: 7 },
        { table: "public.lines", rows: 2 },
      ],
    };
    const done: MoveView = { ...resting, phase: "done", report: { ...resting.report, erased } };
    const finishing: StubApi = {
      "GET /v1/moves/mv-1": looks(resting, { ...resting, phase: "erasing" }, done),
      "POST /v1/moves/mv-1/finish": asking({ status: 202, json: resting }),
    };
    const finished = await run(finishing, "move", "finish", "mv-1", "--accept");
    expect(finished.out).toBe("Move mv-1 is done: tenant acme is on shared-2; 9 rows erased on shared-1\n");
    expect(sent.at(-1)).toEqual({ accept: true });
  });
});
