import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runLine, type StubApi, stubFetch } from "../../test-io.ts";

let dir: string;
let env: Readonly<Record<string, string>>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-hold-"));
  writeFileSync(join(dir, "token"), "t\n");
  env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const hold = { tenant: "acme", moveId: "operator", ttlMs: 2_500 };

test("tenant hold says where requests are still on their way, and release ends it", async () => {
  const sent: unknown[] = [];
  const answers = [
    { ...hold, quiet: true, routers: [{ router: "r1", inFlight: 0 }] },
    { ...hold, quiet: false, routers: [{ router: "r1", inFlight: 3 }, { router: "r2" }] },
  ];
  const api: StubApi = {
    "POST /v1/tenants/acme/hold": ({ body }) => {
      sent.push(body);
      return { json: answers.shift() };
    },
    "DELETE /v1/tenants/acme/hold": { status: 204 },
  };
  const run = (...argv: string[]) => runLine(["tenant", ...argv], { env, fetch: stubFetch(api) });
  expect(await run("hold", "acme", "--for", "2.5")).toMatchObject({ code: 0, out: "Tenant acme is held for 2.5 s\n" });
  expect(sent).toEqual([{ ttlMs: 2_500, waitMs: 1_000 }]);
  expect((await run("hold", "acme")).out).toBe(
    "Tenant acme is held for 5 s\n  3 on their way in r1\n  router r2 does not say that it holds\n",
  );
  expect(await run("release", "acme")).toMatchObject({ code: 0, out: "Tenant acme is released\n" });
});
