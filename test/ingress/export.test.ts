import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runLine } from "../../packages/cli/src/test-io.ts";
import { ask, eventually, makeTestBed, tenantPut } from "../../packages/router/src/test-bed/test-bed.ts";

test("directory export writes what the rules would read, and no secret unless asked (I33)", async () => {
  await using bed = await makeTestBed();
  // A hostname that another tenant's subdomain spells: such a request is refused, so it is in no map (I5).
  bed.controlPlane.change(tenantPut("twin", "eu-2", 1, ["umbrella.localhost", "twin.example"]));
  bed.controlPlane.change({
    kind: "tenant-put",
    tenant: "keyed",
    stamp: "eu-2",
    epoch: 2,
    hostnames: [],
    aliases: ["api-key:ak_1"],
  });
  const router = await bed.start();
  await eventually(async () => {
    const said = (await ask(router.adminPort, { host: "127.0.0.1", path: "/directory" })).json();
    expect(said["durable"]).toMatchObject({ version: bed.controlPlane.head().version });
  });
  const state = ["--router-state", bed.folder];
  const out = join(bed.folder, "maps");

  const nginx = await runLine(["directory", "export", "--format", "nginx-map", ...state]);
  expect(nginx.code).toBe(0);
  expect(nginx.out.split("\n").sort()).toEqual([
    "",
    'acme.localhost "eu-1";',
    'globex.localhost "eu-2";',
    'keyed.localhost "eu-2";',
    'notes.acme.com "eu-1";',
    'twin.example "eu-2";',
    'twin.localhost "eu-2";',
  ]);
  const written = await runLine(["directory", "export", "--out", out, ...state]);
  expect(written).toMatchObject({ code: 0, out: expect.stringContaining("hosts.map, tenants.map, stamps.map") });
  expect(readFileSync(join(out, "tenants.map"), "utf8")).toContain("keyed keyed;eu-2;2\n");
  expect(readFileSync(join(out, "stamps.map"), "utf8")).toContain(`eu-1 127.0.0.1:${bed.stamps[0].port}\n`);
  expect(existsSync(join(out, "keys.map"))).toBe(false);
  const json = await runLine(["directory", "export", "--format", "json", ...state]);
  expect(JSON.parse(json.out)).toMatchObject({ routing: { domains: ["localhost"] } });
  for (const { keys } of bed.stamps) for (const { secret } of keys) expect(json.out).not.toContain(secret);

  expect(await runLine(["directory", "export", "--with-keys", ...state])).toMatchObject({
    code: 1,
    err: expect.stringContaining("INVALID_REQUEST"),
  });
  expect(await runLine(["directory", "export", "--router-state", out])).toMatchObject({
    code: 1,
    err: expect.stringContaining("No copy of a directory"),
  });
});
