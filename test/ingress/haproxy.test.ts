import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { suspendedHome } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runLine } from "../../packages/cli/src/test-io.ts";
import { ask, eventually, tenantPut } from "../../packages/router/src/test-bed/test-bed.ts";
import { needDebianBinary } from "../debian-binary.ts";
import { blockOf, type Ingress, put, save, startIngress } from "./ingress-bed.ts";

let ingress: Ingress;
let maps: string;
beforeAll(async () => {
  ingress = await startIngress(needDebianBinary("haproxy"), async (folder, port, bed, router) => {
    bed.controlPlane.change(tenantPut("stopped", suspendedHome, 1, ["stopped.example"]));
    // The router's files are what is exported: they hold the tenants as soon as the version is acknowledged.
    await eventually(async () => {
      const text = (await ask(router.adminPort, { host: "127.0.0.1", path: "/directory" })).json();
      expect(text["durable"]).toMatchObject({ version: bed.controlPlane.head().version });
    });
    maps = join(folder, "maps");
    mkdirSync(maps);
    await exportMaps(folder);
    let page = put(blockOf("haproxy.md", "haproxy"), "bind :80", `bind 127.0.0.1:${port}`);
    page = put(page, "/etc/haproxy/stampyard", maps);
    page = put(page, "127.0.0.1:4001", `127.0.0.1:${bed.stamps[0].port}`);
    page = put(page, "127.0.0.1:4002", `127.0.0.1:${bed.stamps[1].port}`);
    const times = "defaults\n  timeout client 10s\n  timeout server 10s\n  timeout connect 2s\n";
    return ["-db", "-f", save(folder, "haproxy.cfg", `${times}\n${page}`)];
  });
  await eventually(async () => expect((await ask(ingress.port)).status).toBe(200), 10_000);
});
afterAll(async () => {
  await ingress?.[Symbol.asyncDispose]();
});

async function exportMaps(state: string): Promise<void> {
  const line = ["directory", "export", "--with-keys", "--out", maps, "--router-state", state];
  expect(await runLine(line)).toMatchObject({ code: 0, err: "" });
}

test("routes by exported maps and signs by itself, so that the guard believes it (I5)", async () => {
  const acme = (await ask(ingress.port, { path: "/a%20b?x=1" })).json();
  expect(acme).toMatchObject({ stamp: "eu-1", url: "/a%20b?x=1", verdict: { kind: "pass", tenant: "acme", epoch: 3 } });
  expect((await ask(ingress.port, { host: "notes.acme.com:8080" })).json()).toMatchObject({ stamp: "eu-1" });
  expect((await ask(ingress.port, { host: "GLOBEX.localhost" })).json()).toMatchObject({
    stamp: "eu-2",
    verdict: { tenant: "globex" },
  });
});

test("an unknown host reaches no stamp (I4)", async () => {
  const before = ingress.bed.stamps.map(({ seen }) => seen.length);
  for (const host of ["nobody.localhost", "localhost", "acme", "x.acme.localhost", "acme.localhost.evil.example"]) {
    expect((await ask(ingress.port, { host })).status, host).toBe(404);
  }
  expect(ingress.bed.stamps.map(({ seen }) => seen.length)).toEqual(before);
});

test("a suspended tenant is answered 403", async () => {
  for (const host of ["stopped.localhost", "stopped.example"]) {
    expect((await ask(ingress.port, { host })).status, host).toBe(403);
  }
});

test("no reserved header of a client reaches a stamp, however it is spelled (I6)", async () => {
  const headers = {
    "stampyard-route": "v1;k1;globex;eu-1;3;1;x",
    Stampyard_Route: "a",
    "STAMPYARD.ROUTE": "b",
    "stampyard-hook": "c",
  };
  expect((await ask(ingress.port, { headers })).json()).toMatchObject({ verdict: { kind: "pass", tenant: "acme" } });
  const names = Object.keys(ingress.bed.stamps[0].seen.at(-1)?.headers ?? {});
  expect(names.filter((name) => /^stampyard[^a-z0-9]/.test(name))).toEqual(["stampyard-route"]);
});

test("keys are readable by their owner only (I33)", () => {
  expect(statSync(join(maps, "keys.map")).mode & 0o777).toBe(0o600);
});
