import { createServer, request, type Server, type ServerResponse } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningRouter, startRouter } from "@stampyard/router";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { files } from "../packages/control-plane/src/server/test-files.ts";
import {
  activateStamp,
  activateTenant,
  startTestServer,
  type TestServer,
} from "../packages/control-plane/src/server/test-server.ts";
import { startTestPostgres, type TestPostgres } from "../packages/control-plane/src/store/test-postgres.ts";
import { eventually } from "./conformance/router-under-test.ts";

/** Holds over the whole way (D13): a real control plane, its feed, a router's process with or without workers, a stamp. */
let postgres: TestPostgres;
let server: TestServer;
let stamp: Server;
let folder: string;
/** Requests that the stamp got, and answers that it keeps back. */
let seen: string[] = [];
let kept: ServerResponse[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  stamp = createServer((asked, response) => {
    seen.push(asked.url ?? "");
    if (asked.url === "/slow") kept.push(response);
    else response.end("home");
  });
  await new Promise<void>((resolve) => stamp.listen(0, "127.0.0.1", resolve));
  const { port } = stamp.address() as AddressInfo;
  const simulated = createSimulatedEngine({ clock: createManualClock() });
  // Its stamps are not there: whatever is applied answers here.
  const engine = {
    ...simulated,
    apply: async (...args: Parameters<typeof simulated.apply>) => ({
      ...(await simulated.apply(...args)),
      endpoints: [{ host: "127.0.0.1", port }],
      endpointRevision: 1,
    }),
  };
  server = await startTestServer(await postgres.database(), engine, { heartbeatMs: 200 });
  folder = mkdtempSync(join(tmpdir(), "stampyard-hold-"));
  writeFileSync(join(folder, "token"), server.tokens.router, { mode: 0o600 });
  const { operator } = server.clients;
  await operator.apply({ body: files });
  for (const name of ["shared-1", "shared-2"]) await activateStamp(server, name);
  for (const key of ["acme", "globex"]) {
    await operator.tenantCreate({ body: { key, pool: "shared" } });
    await activateTenant(server, key);
  }
}, 60_000);
afterAll(async () => {
  stamp?.closeAllConnections();
  stamp?.close();
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  seen = [];
  kept = [];
});

interface Got {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

function ask(router: RunningRouter, tenant: string, path = "/"): Promise<Got> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${tenant}.localhost` };
    const to = { host: "127.0.0.1", port: router.listenPort, path, headers, agent: false };
    const sent = request(to, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      const retryAfter = response.headers["retry-after"];
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, retryAfter }));
    });
    sent.on("error", reject).end();
  });
}

async function withRouter(workers: number, work: (router: RunningRouter) => Promise<void>): Promise<void> {
  const loopback = { host: "127.0.0.1", port: 0 };
  const router = await startRouter(
    {
      name: `r-${workers}`,
      listen: loopback,
      admin: loopback,
      stateDir: join(folder, `router-${workers}`),
      controlPlane: { url: server.url, tokenFile: join(folder, "token") },
      workers,
      drainMs: 200,
    },
    { log: () => {}, backoff: { firstMs: 20, mostMs: 100 } },
  );
  try {
    await eventually(async () => expect((await ask(router, "acme")).status).toBe(200), 15_000);
    await work(router);
  } finally {
    await router.close();
    // The next router is the only one that lives.
    await server.store.routers.forget(0);
  }
}

async function waitingAt(router: RunningRouter): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${router.adminPort}/holds`);
  return ((await answer.json()) as { holds: unknown }).holds;
}

describe.each([0, 2])("holds, with %d workers (D13)", (workers) => {
  test("a held tenant's requests wait for what is on its way, and go on at the release; others notice nothing", () =>
    withRouter(workers, async (router) => {
      const { admin } = server.clients;
      const slow = ask(router, "acme", "/slow");
      await eventually(() => expect(kept).toHaveLength(1));
      const loud = await admin.holdTenant({ params: { key: "acme" }, body: { moveId: "m1", ttlMs: 20_000 } });
      expect(loud).toMatchObject({ quiet: false, routers: [{ router: `r-${workers}`, inFlight: 1 }] });

      const waiting = Array.from({ length: 5 }, (_, n) => ask(router, "acme", `/waits-${n}`));
      for (let n = 0; n < 20; n++) expect(await ask(router, "globex", "/other")).toMatchObject({ status: 200 });
      kept[0]?.end("done");
      expect((await slow).text).toBe("done");
      const quiet = await admin.holdTenant({
        params: { key: "acme" },
        body: { moveId: "m1", ttlMs: 20_000, waitMs: 1_000 },
      });
      expect(quiet).toMatchObject({ quiet: true, routers: [{ router: `r-${workers}`, inFlight: 0 }] });
      expect(seen.filter((path) => path.startsWith("/waits"))).toEqual([]);
      expect(await waitingAt(router)).toMatchObject([{ tenant: "acme", moveId: "m1" }]);

      await admin.releaseTenant({ params: { key: "acme" }, query: { moveId: "another" } });
      await admin.releaseTenant({ params: { key: "acme" }, query: { moveId: "m1" } });
      expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      expect(seen.filter((path) => path.startsWith("/waits"))).toHaveLength(5);
    }));

  test("a hold that nobody releases ends by itself, with 503 and Retry-After for those that waited", () =>
    withRouter(workers, async (router) => {
      const { admin } = server.clients;
      await admin.holdTenant({ params: { key: "acme" }, body: { ttlMs: 300, waitMs: 1_000 } });
      const startedAt = performance.now();
      const got = await ask(router, "acme", "/too-late");
      expect(got).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^[1-9]/) });
      expect(performance.now() - startedAt).toBeLessThan(2_000);
      expect(seen).not.toContain("/too-late");
      expect(await ask(router, "acme", "/after")).toMatchObject({ status: 200 });
    }));
});

test("holdTenant is an admin's, of tenants that exist, and stands in the audit", async () => {
  const { operator, admin } = server.clients;
  await expect(operator.holdTenant({ params: { key: "acme" }, body: {} })).rejects.toMatchObject({ code: "FORBIDDEN" });
  const nobody = admin.holdTenant({ params: { key: "nobody" }, body: {} });
  await expect(nobody).rejects.toMatchObject({ code: "TENANT_NOT_FOUND" });
  // Nobody lives, so nobody is waited for.
  await eventually(async () => {
    await server.store.routers.forget(0);
    const held = await admin.holdTenant({ params: { key: "acme" }, body: { ttlMs: 1 } });
    expect(held).toEqual({ tenant: "acme", moveId: "operator", ttlMs: 1, quiet: true, routers: [] });
  });
  await admin.releaseTenant({ params: { key: "acme" } });
  const rows = await server.store.audit.list({ subject: "tenant/acme", limit: 1_000 });
  const actions = rows.items.map(({ action }) => action);
  expect(actions).toContain("tenant.hold");
  expect(actions.at(-1)).toBe("tenant.release");
});
