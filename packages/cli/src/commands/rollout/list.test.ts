import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runLine, type StubApi, stubFetch } from "../../test-io.ts";
import { aborted, at, baking, begun, digestOf, looks, member, members, releases } from "./test-rollouts.ts";

let dir: string;
let env: Readonly<Record<string, string>>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-rollout-list-"));
  writeFileSync(join(dir, "token"), "t\n");
  env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const run = (api: StubApi, ...argv: string[]) => runLine(argv, { env, fetch: stubFetch(api) });

describe("rollout list and show", () => {
  test("list names release, wave and what each waits for", async () => {
    let query = "";
    const api: StubApi = {
      ...releases,
      "GET /v1/rollouts": (request) => {
        query = request.query.toString();
        return { json: { items: [begun, aborted] } };
      },
    };
    const { out } = await run(api, "rollout", "list", "--open", "--stamp", "shared-1", "--release", "1.1.0");
    expect(query).toBe(`limit=100&stamp=shared-1&release=${encodeURIComponent(digestOf("b"))}&open=true`);
    expect(out).toMatch(
      /^ro-1 +1\.1\.0 +- +updating +canary \(1 of 2\) +0 +0 +2 +\w+ +stamp shared-1 to run 1\.1\.0$/m,
    );
    expect(out).toMatch(/^ro-1 +1\.1\.0 +- +aborted +- .*errors: 6\.1% beside 1\.0% of siblings$/m);
  });

  test("show says what it waits for, since when and until when, and prints waves, stamps and gate", async () => {
    const api: StubApi = {
      ...members(
        member("shared-1", 0, { phase: "updated", since: at, at }),
        member("shared-2", 1, { phase: "skipped", why: "it is pinned" }),
      ),
      "GET /v1/rollouts": ({ query }) => ({ json: { items: query.get("stamp") === "shared-1" ? [begun] : [] } }),
      "GET /v1/rollouts/ro-1": looks(baking),
    };
    const { out } = await run(api, "rollout", "show", "shared-1");
    expect(out).toMatch(/^Waiting on: +the bake of wave canary$/m);
    expect(out).toMatch(/^Since: +2026-11-23T05:00:00\.000Z \(\w+\)$/m);
    expect(out).toMatch(/^Until: +2026-11-23T05:12:00\.000Z \(.+\)$/m);
    expect(out).toMatch(/^Time: +active 60 s, baking 10 min, waiting 0 ms$/m);
    expect(out).toMatch(/^rest +1 +0 ms +2 +wanted$/m);
    expect(out).toMatch(/^shared-2 +rest +skipped +1\.0\.0 to 1\.1\.0 +it is pinned$/m);
    expect(out).toContain("Gate: inconclusive at 2026-11-23T05:00:00.000Z; enough to tell in about 90 s");
    const nothing = await run({ ...api }, "rollout", "show", "nowhere");
    expect(nothing.code).toBe(1);
    expect(nothing.err).toContain('No rollout "nowhere", and none with a stamp of that name');
  });
});

test("status names rollouts that go on, freezes in force, and stamps that want somebody's eye", async () => {
  const status = {
    fleet: "notes",
    fleetRevision: 3,
    mode: "normal",
    role: "leader",
    leader: "cp-1",
    version: "0.1.0",
    directory: { incarnation: 1, version: 9 },
    stamps: { active: 2 },
    tenants: {},
    routers: [],
    held: [],
    rollouts: [begun],
    frozen: ["moves of pool gold: the fair (fz-1, by token:tok_1)"],
    alerts: Array.from({ length: 12 }, (_, n) => ({ kind: "release-age", stamp: `s-${n}`, text: "25 h behind" })),
    waitingOn: [],
  };
  const { out } = await run({ "GET /v1/status": { json: status } }, "status");
  expect(out).toMatch(/^ro-1 +1\.1\.0 +- +updating +canary \(1 of 2\)/m);
  expect(out).toContain("Frozen: moves of pool gold: the fair (fz-1, by token:tok_1)\n");
  expect(out).toMatch(/^release-age +s-9 +25 h behind$/m);
  expect(out).toContain("and 2 more: stampyard release matrix\n");
  const { rollouts: _, frozen: __, alerts: ___, ...older } = status;
  const before = await run({ "GET /v1/status": { json: older } }, "status");
  expect(before.code, "an older control plane says nothing of them").toBe(0);
});
