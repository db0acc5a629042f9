import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runLine, type StubApi, stubFetch } from "../../test-io.ts";

let dir: string;
let env: Readonly<Record<string, string>>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-recovery-"));
  writeFileSync(join(dir, "token"), "t\n");
  env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const path = "/v1/controlplane/recovery";
const recovering = {
  mode: "recovering",
  reason: "restored from a backup",
  reports: [{ source: "stamp/shared-1", complete: true, tenants: 2 }],
  adopt: [{ tenant: "globex", stamp: "shared-2", epoch: 1, why: "shared-2 owns it" }],
  conflicts: [
    {
      tenant: "acme",
      why: "two stamps own it at one epoch",
      claims: [
        { stamp: "shared-1", epoch: 3, source: "stamp/shared-1" },
        { stamp: "shared-2", epoch: 3, source: "stamp/shared-2" },
      ],
    },
  ],
  waitingOn: ["the report of router/router"],
};

function run(line: string, api: StubApi, calls: string[] = [], given: Parameters<typeof runLine>[1] = {}) {
  const argv = ["controlplane", "recovery", ...line.split(" ").filter((part) => part !== "")];
  return runLine(argv, { env, fetch: stubFetch(api, calls), ...given });
}

test("controlplane recovery shows who was heard, what is in conflict and how to decide it", async () => {
  const { code, out, err } = await run("", { [`GET ${path}`]: { json: recovering } });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/Waits for: +the report of router\/router/);
  expect(out).toMatch(/globex +shared-2 +1 +shared-2 owns it/);
  expect(out).toMatch(/acme +shared-1 \(epoch 3, by stamp\/shared-1\); shared-2 \(epoch 3, by stamp\/shared-2\)/);
  const normal = { mode: "normal", reports: [], adopt: [], conflicts: [], waitingOn: [] };
  const quiet = await run("", { [`GET ${path}`]: { json: normal } });
  expect(quiet.out).toBe("The control plane is not recovering\n");
});

test("controlplane recovery sends decisions, and asks before it forgets or gives up", async () => {
  const sent: unknown[] = [];
  const api: StubApi = {
    [`POST ${path}`]: ({ body }) => {
      sent.push(body);
      return { json: recovering };
    },
  };
  expect((await run("--home acme=shared-1", api)).code).toBe(0);
  const calls: string[] = [];
  const refused = await run("--home acme=shared-1 --forget trial-7", api, calls);
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("CONFIRMATION_REQUIRED") });
  expect(calls).toEqual([]);
  expect((await run("--forget trial-7 --finish --incomplete --yes", api)).code).toBe(0);
  expect((await run("--forget trial-7", api, [], { ask: async () => "forget" })).code).toBe(0);
  expect((await run("--finish --incomplete", api, [], { ask: async () => "no" })).code).toBe(1);
  expect(sent).toEqual([
    { resolve: [{ tenant: "acme", stamp: "shared-1" }], finish: false, incomplete: false },
    { resolve: [{ tenant: "trial-7" }], finish: true, incomplete: true },
    { resolve: [{ tenant: "trial-7" }], finish: false, incomplete: false },
  ]);
});

test.each(["--home acme", "--home =shared-1", "--home acme=", "--incomplete"])(
  "controlplane recovery %s says what to write, and sends nothing",
  async (line) => {
    const calls: string[] = [];
    const { code, err } = await run(line, {}, calls);
    expect({ code, calls }).toEqual({ code: 1, calls: [] });
    expect(err).toContain("[INVALID_REQUEST]\n  try: ");
  },
);
