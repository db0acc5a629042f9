import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildProgram } from "./program.ts";
import { problem, type Ran, runLine, type StubApi, stubFetch } from "./test-io.ts";

const digest = `sha256:${"a".repeat(64)}`;
const at = "2026-11-22T14:03:00.000Z";
const secret = "tok_secret-of-an-operator";
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-program-"));
  writeFileSync(join(dir, "token"), `${secret}\n`);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function stamp(change: object = {}): object {
  return {
    name: "shared-1",
    pool: "shared",
    region: "eu",
    phase: "active",
    goal: "present",
    origin: "built",
    releaseDigest: digest,
    stampDigest: digest,
    parameters: {},
    capacity: { tenants: 50, units: {} },
    used: { tenants: 2, units: {} },
    endpoints: [{ host: "127.0.0.1", port: 21_000 }],
    endpointRevision: 1,
    revision: 3,
    ...change,
  };
}

function tenant(change: object = {}): object {
  return {
    key: "acme",
    pool: "shared",
    tier: "standard",
    residency: [],
    weight: { tenants: 1 },
    hostnames: [],
    phase: "active",
    goal: "present",
    stamp: "shared-1",
    epoch: 1,
    revision: 2,
    ...change,
  };
}

function run(argv: readonly string[], api: StubApi = {}, given: Parameters<typeof runLine>[1] = {}): Promise<Ran> {
  const where = ["--server", "http://127.0.0.1:4300", "--token-file", join(dir, "token")];
  return runLine([...argv, ...where], { cwd: dir, fetch: stubFetch(api), ...given });
}

function everyCommand(): [string, Command][] {
  const io = {
    out: sink(),
    err: sink(),
    env: {},
    cwd: dir,
    fetch,
    signal: new AbortController().signal,
    ask: undefined,
  };
  const leaves = (command: Command, path: string): [string, Command][] => [
    // What has options of its own does something, also where it has commands below it.
    ...(command.commands.length === 0 || (path !== "" && command.options.length > 0)
      ? [[path, command] as [string, Command]]
      : []),
    ...command.commands.flatMap((child) => leaves(child, `${path} ${child.name()}`.trim())),
  ];
  return leaves(
    buildProgram({ ...io, handOver: () => undefined }, () => undefined),
    "",
  );
}
function sink() {
  return { write: () => undefined, isTTY: false, columns: 80 };
}

describe("every command", () => {
  test.each(everyCommand())("%s --help teaches it: examples, exit codes, -o", async (path) => {
    const { code, out, err } = await runLine([...path.split(" "), "--help"]);
    expect(code).toBe(0);
    expect(err).toBe("");
    expect(out).toContain("Examples:\n  $ stampyard ");
    expect(out).toContain("Exit codes:\n  0 ");
    expect(out).toContain("-o, --output <format>");
  });

  test.each(["stmp", "tenant lst", "tenant hostname ad"])(
    "%s is unknown, and the nearest name is shown",
    async (line) => {
      const { code, out, err } = await runLine(line.split(" "));
      expect(code).toBe(1);
      expect(out).toBe("");
      expect(err).toMatch(/unknown command.*\n\(Did you mean (?:stamp|list|add)\?\)/);
    },
  );

  test("a wrong option says what to ask", async () => {
    const { code, err } = await runLine(["stamp", "list", "--poool", "x"]);
    expect(code).toBe(1);
    expect(err).toContain("Did you mean --pool?");
    expect(err).toContain("try: stampyard stamp list --help");
  });
});

describe("results and errors", () => {
  test("-o json prints one JSON document on stdout and nothing else", async () => {
    const api = { "GET /v1/stamps": { json: { items: [stamp()] } } };
    const { code, out, err } = await run(["stamp", "list", "-o", "json"], api);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out)).toMatchObject({ items: [{ name: "shared-1", phase: "active" }] });
  });

  test("a table has no borders, and says what a stamp waits for", async () => {
    const sick = stamp({ name: "shared-2", phase: "failed", cause: "api: exit code 1" });
    const { out } = await run(["stamp", "list"], { "GET /v1/stamps": { json: { items: [stamp(), sick] } } });
    expect(out).toBe(`NAME      POOL    REGION  PHASE   TENANTS  HOST  AGE  WAITING ON
shared-1  shared  eu      active  2/50     -     -    -
shared-2  shared  eu      failed  2/50     -     -    api: exit code 1
`);
  });

  test("an error prints message, code and mend on stderr, and ends with 1", async () => {
    const detail = problem(404, "STAMP_NOT_FOUND", "There is no stamp nope", { mend: "List them." });
    const api = { "GET /v1/stamps/nope": { status: 404, json: detail } };
    const text = await run(["stamp", "show", "nope"], api);
    expect(text).toEqual({
      code: 1,
      out: "",
      err: "error: There is no stamp nope [STAMP_NOT_FOUND]\n  try: List them.\n",
    });
    const json = await run(["stamp", "show", "nope", "-o", "json"], api);
    expect(json).toMatchObject({ code: 1, out: "" });
    expect(JSON.parse(json.err)).toEqual({
      error: { code: "STAMP_NOT_FOUND", message: "There is no stamp nope", mend: "List them.", problems: [] },
    });
  });

  test("problems of a manifest come with place and caret", async () => {
    const excerpt = "replicas: -1\n          ^";
    const problems = [{ file: "stamp.yaml", line: 9, column: 11, path: "replicas", message: "Too small", excerpt }];
    const api = {
      "GET /v1/status": { status: 422, json: problem(422, "INVALID_MANIFEST", "1 problem", { problems }) },
    };
    const { err } = await run(["status"], api);
    expect(err).toContain("stamp.yaml:9:11 replicas: Too small\n  replicas: -1\n            ^\n");
  });

  test("a problem that the message tells already is said once", async () => {
    const mend = "Use lower-case letters.";
    const detail = 'Invalid name "A b"';
    const problems = [{ path: "name", message: detail, mend }];
    const api = { "POST /v1/tokens": { status: 400, json: problem(400, "INVALID_NAME", detail, { mend, problems }) } };
    const { err } = await run(["token", "create", "A b", "--role", "viewer"], api);
    expect(err).toBe(`error: ${detail} [INVALID_NAME]\n  try: ${mend}\n`);
  });

  test("an impossible tenant key is refused without a call", async () => {
    const calls: string[] = [];
    const { code, err } = await run(["tenant", "create", "No/Way"], {}, { fetch: stubFetch({}, calls) });
    expect({ code, calls }).toEqual({ code: 1, calls: [] });
    expect(err).toMatch(/^error: Invalid tenant key "No\/Way" \[INVALID_NAME\]\n {2}try: Use 1 to 63 .*\n$/);
  });

  test("status, audit and tenant delete say what a reader looks for", async () => {
    const router = { name: "r1", incarnation: 1, ackedVersion: 3, lag: 0, live: true, lastSeenAt: at };
    const status = {
      fleetRevision: 1,
      mode: "normal",
      role: "leader",
      version: "0.1.0",
      directory: { incarnation: 1, version: 3 },
      stamps: {},
      tenants: {},
      routers: [{ ...router, address: "10.0.0.7", admin: "http://10.0.0.7:8081" }],
      waitingOn: [],
      held: [],
    };
    expect((await run(["status"], { "GET /v1/status": { json: status } })).out).toContain("http://10.0.0.7:8081");
    const row = {
      at,
      actor: "ada",
      action: "tenant.delete",
      subject: "tenant/acme",
      reason: "contract ended",
      detail: {},
    };
    expect((await run(["audit", "list"], { "GET /v1/audit": { json: { items: [row] } } })).out).toMatch(
      /REASON.*\n.*contract ended/,
    );
    const api = {
      "GET /v1/tenants/acme": { json: tenant() },
      "DELETE /v1/tenants/acme": { status: 202, json: tenant() },
    };
    expect((await run(["tenant", "delete", "acme", "--yes"], api)).out).toMatch(
      /^Tenant acme is (being deleted|deleting)/,
    );
  });

  test("stamp rotate-keys walks all steps, and asks again where it is too early", async () => {
    const answers = ["added", "early", "promoted", "early", "dropped"];
    let calls = 0;
    const rotate = () => {
      const step = answers[calls++] ?? "";
      if (step === "early")
        return { status: 409, json: problem(409, "WRONG_PHASE", "Stamp shared-1 does not accept k2 yet") };
      return { json: { stamp: "shared-1", step, kids: ["k2"], ...(step === "dropped" ? {} : { waitingOn: "it" }) } };
    };
    const api: StubApi = { "POST /v1/stamps/shared-1/keys/rotate": rotate };
    expect(await run(["stamp", "rotate-keys", "shared-1"], api)).toMatchObject({
      code: 0,
      out: expect.stringContaining("k2"),
    });
    expect(calls).toBe(answers.length);
    const always: StubApi = {
      "POST /v1/stamps/shared-1/keys/rotate": { status: 409, json: problem(409, "WRONG_PHASE", "Too early") },
    };
    const late = await run(["stamp", "rotate-keys", "shared-1", "--timeout", "1"], always);
    expect(late).toMatchObject({ code: 3, err: expect.stringContaining("Too early") });
  });

  test("control characters of a server's answer do not reach the terminal", async () => {
    const api = { "GET /v1/stamps/x": { status: 404, json: problem(404, "NOT_FOUND", "bad \u001b[2J name") } };
    expect((await run(["stamp", "show", "x"], api)).err).not.toContain("\u001b");
  });

  test("a dead control plane says so, and how to start it", async () => {
    const down = () => Promise.reject(new TypeError("fetch failed"));
    const { code, err } = await run(["status"], {}, { fetch: down });
    expect(code).toBe(1);
    expect(err).toMatch(/\[CONTROL_PLANE_UNREACHABLE\]\n {2}try: .*stampyard up/);
  });

  test("the token goes into its header, and never into an error (I33)", async () => {
    let seen: string | null = null;
    const answer = { status: 401, json: problem(401, "UNAUTHENTICATED", "Unknown token") };
    const api: StubApi = {
      "GET /v1/status": ({ headers }) => {
        seen = headers.get("authorization");
        return answer;
      },
    };
    const { err } = await run(["status"], api);
    expect(seen).toBe(`Bearer ${secret}`);
    expect(err).not.toContain(secret);
  });

  test("a token file that is missing or holds nonsense is an error before any request", async () => {
    writeFileSync(join(dir, "nonsense"), "two\nlines");
    for (const file of ["missing", "nonsense"]) {
      const calls: string[] = [];
      const argv = ["status", "--server", "http://127.0.0.1:4300", "--token-file", join(dir, file)];
      const { code, err } = await runLine(argv, { fetch: stubFetch({}, calls) });
      expect({ code, calls }).toEqual({ code: 1, calls: [] });
      expect(err).toContain("[UNAUTHENTICATED]");
    }
  });

  test("Ctrl-C ends with 130, SIGTERM with 143", async () => {
    for (const [reason, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const) {
      const ending = new AbortController();
      const hangs: typeof fetch = (_, init) =>
        new Promise((_settle, fail) => {
          init?.signal?.addEventListener("abort", () => fail(new Error("aborted")));
          ending.abort(reason);
        });
      expect((await run(["status"], {}, { fetch: hangs, signal: ending.signal })).code).toBe(code);
    }
  });
});

describe("exit codes", () => {
  test("stamp diff: 0 the same, 2 different", async () => {
    const diff = { stamp: "shared-1", goalDigest: digest, changes: [], observation: observation() };
    const same = { "GET /v1/stamps/shared-1/diff": { json: { ...diff, same: true } } };
    expect((await run(["stamp", "diff", "shared-1"], same)).code).toBe(0);
    const changes = [{ component: "api", change: "update", why: "other digest" }];
    const other = { "GET /v1/stamps/shared-1/diff": { json: { ...diff, same: false, changes } } };
    expect((await run(["stamp", "diff", "shared-1"], other)).code).toBe(2);
  });

  test("tenant create --wait: 0 active, 3 accepted but not active in time", async () => {
    const api = (change: object): StubApi => ({ "POST /v1/tenants": { status: 201, json: tenant(change) } });
    expect((await run(["tenant", "create", "acme", "--wait"], api({}))).code).toBe(0);
    const late = await run(["tenant", "create", "acme", "--wait"], api({ phase: "preparing", waitingOn: "shared-1" }));
    expect(late.code).toBe(3);
    expect(late.err).toContain("Tenant acme is preparing: shared-1 [TIMEOUT]");
  });

  test("tenant import: 1 when a row is in conflict", async () => {
    writeFileSync(join(dir, "tenants.ndjson"), '{"key":"acme"}\n{"key":"globex","stamp":"shared-2"}\n');
    const imported = (conflict: object[]): StubApi => ({
      "POST /v1/tenants/import": ({ body }) => {
        expect(body).toMatchObject({ dryRun: true, tenants: [{ key: "acme" }, { key: "globex", stamp: "shared-2" }] });
        return { json: { applied: false, create: 2, unchanged: 0, placed: [], waiting: 2, conflict } };
      },
    });
    const argv = ["tenant", "import", "tenants.ndjson", "--plan"];
    expect(await run(argv, imported([]))).toMatchObject({ code: 0, err: "" });
    expect((await run(argv, imported([{ key: "acme", why: "lives on shared-1" }]))).code).toBe(1);
  });
});

function observation(): object {
  return { presence: "present", host: "up", components: [], at };
}

describe("severe actions", () => {
  const api: StubApi = {
    "GET /v1/stamps/shared-1": { json: stamp() },
    "DELETE /v1/stamps/shared-1": { status: 202, json: stamp({ phase: "destroying", goal: "absent" }) },
  };

  test("are refused where nobody can confirm, and nothing is sent", async () => {
    const calls: string[] = [];
    const { code, err } = await run(["stamp", "destroy", "shared-1"], {}, { fetch: stubFetch(api, calls) });
    expect(code).toBe(1);
    expect(err).toContain("[CONFIRMATION_REQUIRED]");
    expect(calls).toEqual(["GET /v1/stamps/shared-1", "GET /v1/pools/shared"]);
  });

  test("destroying a stamp below its pool's minimum warns that another one is built", async () => {
    const pool = (present: number) => ({
      ...api,
      "GET /v1/pools/shared": {
        json: {
          name: "shared",
          tenancy: "shared",
          regions: ["eu"],
          stamps: { min: 2, max: 3 },
          parameters: {},
          present,
          active: present,
          used: { tenants: 0, units: {} },
          total: { tenants: 0, units: {} },
          waiting: 0,
          alerts: [],
          proposals: [],
          forecast: { unit: "tenants", share: 0, perDay: {}, basedOnMs: 0, buildTimeMs: 0 },
        },
      },
    });
    const destroy = (present: number) => run(["stamp", "destroy", "shared-1", "--yes"], pool(present));
    expect((await destroy(2)).err).toContain("Pool shared has 2 stamps and a minimum of 2: it will build another one");
    expect((await destroy(3)).err).toBe("");
  });

  test("go on with --yes, or with the name typed, and with nothing else", async () => {
    const sent = async (argv: string[], answer?: string) => {
      const calls: string[] = [];
      const ask = answer === undefined ? undefined : async () => answer;
      const ran = await run(["stamp", "destroy", "shared-1", ...argv], {}, { fetch: stubFetch(api, calls), ask });
      return { code: ran.code, destroyed: calls.includes("DELETE /v1/stamps/shared-1") };
    };
    expect(await sent(["--yes"])).toEqual({ code: 0, destroyed: true });
    expect(await sent([], "shared-1")).toEqual({ code: 0, destroyed: true });
    for (const wrong of ["", "y", "yes", "shared-2"]) {
      expect(await sent([], wrong)).toEqual({ code: 1, destroyed: false });
    }
  });
});

describe("__complete", () => {
  const complete = async (words: readonly string[], api: StubApi = {}) => {
    const where = ["--server", "http://127.0.0.1:4300", "--token-file", join(dir, "token")];
    const { out, code } = await runLine(["__complete", "--", ...words.slice(0, -1), ...where, words.at(-1) ?? ""], {
      fetch: stubFetch(api),
    });
    expect(code).toBe(0);
    return out.split("\n").filter((line) => line !== "");
  };

  test("knows commands, options, and names that the server knows", async () => {
    expect(await complete(["ten"])).toEqual(["tenant"]);
    expect(await complete(["stamp", "d"])).toEqual(["drain", "destroy", "diff"]);
    expect(await complete(["stamp", "list", "--po"])).toEqual(["--pool"]);
    const api = { "GET /v1/stamps": { json: { items: [stamp(), stamp({ name: "vip-1" })] } } };
    expect(await complete(["stamp", "show", "v"], api)).toEqual(["vip-1"]);
    expect(await complete([""])).not.toContain("__complete");
  });

  test("completes nothing, silently, when the server does not answer", async () => {
    expect(await complete(["stamp", "show", ""])).toEqual([]);
  });
});
