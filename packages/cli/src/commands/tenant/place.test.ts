import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runLine, type StubApi, stubFetch } from "../../test-io.ts";
import { expiryOf } from "../expiry.ts";

let dir: string;
let env: Readonly<Record<string, string>>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-place-"));
  writeFileSync(join(dir, "token"), "t\n");
  env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const placement = {
  tenant: "acme",
  pool: "shared",
  tier: "gold",
  tenancy: "shared",
  weight: { tenants: 1, rps: 30 },
  residency: ["fra"],
  residencyRule: "eu-only",
  outcome: "place",
  stamp: "shared-2",
  verdicts: [
    { stamp: "shared-2", outcome: "chosen", why: "has the highest score, 0.5", scores: { fill: 0.5 }, total: 0.5 },
    { stamp: "shared-1", outcome: "refused", filter: "residency", why: "is in iad" },
  ],
};

test("tenant place --dry-run and tenant explain print the decision and a verdict for every stamp", async () => {
  const sent: unknown[] = [];
  const api: StubApi = {
    "POST /v1/placement/preview": ({ body }) => {
      sent.push(body);
      return { json: placement };
    },
    "GET /v1/tenants/acme/placement": { json: { ...placement, home: "shared-1", outcome: "full", why: "it is full" } },
  };
  const run = (...argv: string[]) => runLine(["tenant", ...argv], { env, fetch: stubFetch(api) });
  const asked = ["acme", "--tier", "gold", "--residency", "eu", "--weight", "rps=30"];
  const refused = await run("place", ...asked);
  expect(refused.code).not.toBe(0);
  expect(refused.err).toContain("--dry-run");
  const { code, out } = await run("place", ...asked, "--dry-run");
  expect(code).toBe(0);
  expect(sent).toMatchObject([{ key: "acme", tier: "gold", residency: ["eu"], weight: { rps: 30 } }]);
  expect(out).toMatch(/^Decision: +stamp shared-2$/m);
  expect(out).toMatch(/^Residency: +fra \(rule eu-only\)$/m);
  expect(out).toMatch(/^shared-1 +refused +- +residency +is in iad$/m);
  const explained = (await run("explain", "acme")).out;
  expect(explained).toMatch(/^Home: +shared-1$/m);
  expect(explained).toMatch(/^Decision: +no place: it is full$/m);
});

test("tenant pin, unpin, quarantine and overrides say whom they are about, and until when", async () => {
  const sent: unknown[] = [];
  const set = { tenant: "acme", setBy: "token:tok_1", setAt: "2026-11-23T00:00:00.000Z" };
  const api: StubApi = {
    "PUT /v1/tenants/acme/override": ({ body }) => {
      sent.push(body);
      return { json: { ...set, ...(body as object) } };
    },
    "DELETE /v1/tenants/acme/override": { status: 204 },
    "GET /v1/placement/overrides": { json: { items: [{ ...set, kind: "quarantine", reason: "noisy" }] } },
  };
  const run = (...argv: string[]) => runLine(["tenant", ...argv], { env, fetch: stubFetch(api) });
  const until = "2027-01-31T00:00:00.000Z";
  const pinned = await run("pin", "acme", "shared-2", "--until", until, "--reason", "near");
  expect(pinned.out).toBe(`Tenant acme is pinned to shared-2 until ${until}\n`);
  expect((await run("quarantine", "acme")).out).toBe("Tenant acme is quarantined\n");
  expect(sent).toEqual([{ kind: "pin", stamp: "shared-2", until, reason: "near" }, { kind: "quarantine" }]);
  expect((await run("unpin", "acme")).out).toBe("Tenant acme is no longer pinned\n");
  expect((await run("overrides")).out).toMatch(/^acme +quarantine +- +- +token:tok_1 +noisy$/m);
});

test("expiryOf() reads a time or a duration, and refuses both and neither kind of nonsense", () => {
  expect(expiryOf({}, 0)).toBeUndefined();
  expect(expiryOf({ for: "90m" }, 0)).toBe("1970-01-01T01:30:00.000Z");
  expect(expiryOf({ until: "2027-01-31T01:00:00+01:00" }, 0)).toBe("2027-01-31T00:00:00.000Z");
  for (const bad of [{ for: "0d" }, { for: "1w" }, { until: "soon" }, { until: "2027-01-31", for: "1d" }]) {
    expect(() => expiryOf(bad, 0)).toThrow(expect.objectContaining({ code: "INVALID_REQUEST" }));
  }
});
