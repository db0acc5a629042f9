import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { HookPassage } from "@stampyard/guard";
import { afterEach, expect, test } from "vitest";
import { sweepGone } from "../sweep.ts";
import { memoryObjects } from "../test-objects.ts";
import { memorySearch } from "../test-search.ts";
import { countUploads } from "../uploads.ts";
import type { Services } from "./call.ts";
import { drained, exported, exportPath, imported, serveExport } from "./move-hooks.ts";
import { Problem } from "./problem.ts";

/** Two copies of the application, of which only the other stores of a tenant are looked at. */

const acme: HookPassage = { kind: "pass", hook: "tenant.onExport", tenant: "acme", epoch: 1 };
const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.closeAllConnections();
});

function servicesWith(objects = memoryObjects()) {
  return { services: { objects, uploads: countUploads() } as unknown as Services, objects };
}

/** A source that answers its export hook at any path but the one that targets fetch from. */
async function startSource(services: Services, now: () => number) {
  const requests: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    requests.push(request.url ?? "");
    const isFetch = request.url?.startsWith(exportPath) === true;
    const work = isFetch ? serveExport(services, request, now()) : exported(request, acme, now());
    work.then(
      ({ status, json, bytes }) => response.writeHead(status).end(bytes ?? JSON.stringify(json)),
      (caught: unknown) => response.writeHead(caught instanceof Problem ? caught.status : 500).end(),
    );
  });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const hook = async () =>
    (await (await fetch(`${origin}/hooks/tenant-export`, { method: "POST" })).json()) as { url: string };
  return { hook, requests };
}

test("the target fetches the objects it lacks, more than an answer could hold, and nothing twice", async () => {
  const source = servicesWith();
  const target = servicesWith();
  for (let n = 0; n < 40; n++) await source.objects.put("acme", Buffer.alloc(10_000, n));
  await source.objects.put("globex", Buffer.from("somebody else's"));
  const { hook, requests } = await startSource(source.services, Date.now);
  expect((await imported(target.services, acme, { export: await hook(), final: false })).status).toBe(204);
  expect(await target.objects.list("acme")).toEqual(await source.objects.list("acme"));
  expect(await target.objects.tenants()).toEqual(["acme"]);

  const late = await source.objects.put("acme", Buffer.from("written between the two"));
  const before = requests.length;
  await imported(target.services, acme, { export: await hook(), final: true });
  expect(await target.objects.get("acme", late)).toBeDefined();
  expect(requests.length - before, "the hook, the list and one object").toBe(3);
});

test("an export is for one tenant, for some minutes, and for whoever has the ticket", async () => {
  const { services, objects } = servicesWith();
  await objects.put("globex", Buffer.from("secret"));
  let now = Date.now();
  const { hook } = await startSource(services, () => now);
  const { url } = await hook();
  const statusOf = async (text: string) => (await fetch(text)).status;
  expect(await statusOf(url)).toBe(200);
  expect(await statusOf(url.replace("tenant=acme", "tenant=globex"))).toBe(403);
  expect(await statusOf(url.replace(/until=\d+/, `until=${now + 86_400_000}`))).toBe(403);
  expect(await statusOf(url.replace(/ticket=.*/, "ticket="))).toBe(403);
  now += 11 * 60_000;
  expect(await statusOf(url)).toBe(403);
  await expect(imported(services, acme, { final: true })).rejects.toMatchObject({ status: 422 });
});

test("a drain waits for uploads that no row knows of yet", async () => {
  const { services } = servicesWith();
  let end = () => {};
  const upload = services.uploads.during("acme", () => new Promise<void>((resolve) => (end = resolve)));
  expect(await drained(services, acme)).toMatchObject({ json: { pending: 1 } });
  expect(await drained(services, { ...acme, tenant: "globex" })).toMatchObject({ json: { pending: 0 } });
  end();
  await upload;
  expect(await drained(services, acme)).toMatchObject({ json: { pending: 0 } });
});

test("a sweep erases objects and indexes of tenants that were missing twice, and of nobody else", async () => {
  const { objects } = servicesWith();
  const search = memorySearch();
  for (const tenant of ["acme", "gone"]) {
    await objects.put(tenant, Buffer.from(tenant));
    await search.build({ tenant, epoch: 1 }, async function* () {});
  }
  const db = { query: async () => ({ rows: [{ tenant_id: "acme" }], rowCount: 1 }) } as never;
  const missing = await sweepGone(db, objects, new Set());
  expect(await objects.tenants()).toEqual(["acme", "gone"]);
  await sweepGone(db, objects, missing);
  expect(await objects.tenants()).toEqual(["acme"]);
  await sweepGone(db, search, missing);
  expect(await search.tenants()).toEqual(["acme"]);
});
