import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runLine, stubFetch } from "../../test-io.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-stamp-"));
  writeFileSync(join(dir, "token"), "t\n");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const digest = `sha256:${"a".repeat(64)}`;
const until = "2099-01-01T00:00:00.000Z";
const pin = { reason: "a demo", until, setBy: "ada", since: "2026-11-23T05:00:00.000Z" };
const stamp = {
  name: "shared-1",
  pool: "shared",
  region: "eu",
  phase: "active",
  goal: "present",
  origin: "built",
  releaseDigest: digest,
  stampDigest: digest,
  parameters: {},
  capacity: { tenants: 5, units: {} },
  used: { tenants: 1, units: {} },
  endpoints: [],
  endpointRevision: 1,
  revision: 1,
  pins: [
    { kind: "stamp", name: "shared-1", ...pin },
    { kind: "tenant", name: "acme", release: digest, version: "1.4.2", ...pin },
  ],
  rollouts: [{ id: "ro-7", phase: "baking", wave: "canary", member: "updated" }],
};

test("stamp show names the rollout that the stamp is in, and what keeps it at its release", async () => {
  const env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
  const fetch = stubFetch({ "GET /v1/stamps/shared-1": { json: stamp } });
  const { out, err } = await runLine(["stamp", "show", "shared-1"], { env, fetch });
  expect(err).toBe("");
  expect(out).toMatch(/^Rollout: +ro-7 \(baking\), wave canary: updated$/m);
  expect(out).toMatch(/^Pinned: +until 2099-.*: a demo; to 1\.4\.2 until 2099-.*, for tenant acme: a demo$/m);
});
