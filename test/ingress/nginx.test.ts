import { suspendedHome } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, eventually } from "../../packages/router/src/test-bed/test-bed.ts";
import { needDebianBinary } from "../debian-binary.ts";
import { blockOf, type Ingress, put, save, startIngress } from "./ingress-bed.ts";

let ingress: Ingress;
beforeAll(async () => {
  ingress = await startIngress(needDebianBinary("nginx"), async (folder, port, _bed, router) => {
    let server = put(blockOf("nginx.md", "nginx"), "listen 80;", `listen 127.0.0.1:${port};`);
    server = put(server, "127.0.0.1:8082", `127.0.0.1:${router.decidePort}`);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (kind) => `${kind}_temp_path ${folder}/nginx-${kind};`,
    );
    const main = ["daemon off;", "master_process off;", `pid ${folder}/nginx.pid;`, "error_log stderr;"];
    const http = `http {\naccess_log off;\n${temporary.join("\n")}\n${server}\n}\n`;
    const file = save(folder, "nginx.conf", `${main.join("\n")}\nevents {}\n${http}`);
    return ["-p", folder, "-e", "stderr", "-c", file];
  });
  await eventually(async () => expect((await ask(ingress.port)).status).toBe(200), 10_000);
});
afterAll(async () => {
  await ingress?.[Symbol.asyncDispose]();
});

test("forwards to the home of the tenant, with a header that its guard believes (I5)", async () => {
  const acme = (await ask(ingress.port, { path: "/a%20b?x=1&y" })).json();
  expect(acme).toMatchObject({
    stamp: "eu-1",
    url: "/a%20b?x=1&y",
    verdict: { kind: "pass", tenant: "acme", epoch: 3 },
  });
  const globex = (await ask(ingress.port, { host: "other.example", path: "/t/globex/a?b" })).json();
  expect(globex).toMatchObject({ stamp: "eu-2", url: "/a?b", verdict: { kind: "pass", tenant: "globex" } });
});

test("passes bodies on", async () => {
  const [stamp] = ingress.bed.stamps;
  const { handler } = stamp;
  stamp.handler = (request, response) => void request.pipe(response);
  const body = "x".repeat(300_000);
  expect((await ask(ingress.port, { method: "POST", body })).body).toBe(body);
  stamp.handler = handler;
});

test("answers what the router refuses with its status, and no stamp sees it (I4)", async () => {
  const before = ingress.bed.stamps.map(({ seen }) => seen.length);
  expect((await ask(ingress.port, { host: "nobody.localhost" })).status).toBe(404);
  expect((await ask(ingress.port, { host: "nobody.localhost", method: "POST", body: "x" })).status).toBe(404);
  expect((await ask(ingress.port, { path: "/t/globex/" })).status).toBe(400);
  expect((await ask(ingress.port, { path: "/_stampyard" })).status).toBe(404);
  expect(ingress.bed.stamps.map(({ seen }) => seen.length)).toEqual(before);
});

test("a suspended tenant is answered 403, and no stamp sees it", async () => {
  const { controlPlane, stamps } = ingress.bed;
  const put = { kind: "tenant-put", tenant: "globex", epoch: 1, hostnames: [] } as const;
  controlPlane.change({ ...put, stamp: suspendedHome });
  await eventually(async () => expect((await ask(ingress.port, { host: "globex.localhost" })).status).toBe(403));
  const before = stamps.map(({ seen }) => seen.length);
  expect((await ask(ingress.port, { host: "globex.localhost", method: "POST", body: "x" })).status).toBe(403);
  expect(stamps.map(({ seen }) => seen.length)).toEqual(before);
  controlPlane.change({ ...put, stamp: "eu-2" });
  await eventually(async () => expect((await ask(ingress.port, { host: "globex.localhost" })).status).toBe(200));
});

test("a client can neither forge a route nor another host or path (I6)", async () => {
  const forged = {
    "stampyard-route": "v1;k1;globex;eu-1;3;1;x",
    Stampyard_Route: "a",
    "stampyard.route": "b",
    "stampyard-hook": "tenant.onDelete",
    "x-forwarded-host": "globex.localhost",
    "x-forwarded-uri": "/t/globex/",
    "x-original-uri": "/t/globex/",
    "x-tenant": "globex",
    "x-forwarded-for": "10.0.0.1",
  };
  const answer = (await ask(ingress.port, { headers: forged })).json();
  expect(answer).toMatchObject({ stamp: "eu-1", verdict: { kind: "pass", tenant: "acme" } });
  const reserved = Object.entries(ingress.bed.stamps[0].seen.at(-1)?.headers ?? {}).filter(([name]) =>
    /^stampyard[^a-z0-9]/.test(name),
  );
  expect(reserved.map(([name]) => name)).toEqual(["stampyard-route"]);
});

test("a tenant that moved is found at its new home at once", async () => {
  ingress.bed.controlPlane.change({ kind: "tenant-put", tenant: "acme", stamp: "eu-2", epoch: 4, hostnames: [] });
  await eventually(async () => expect((await ask(ingress.port)).json()).toMatchObject({ stamp: "eu-2" }));
});
