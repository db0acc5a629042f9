import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseRouteKeys, verifyRoute } from "@stampyard/guard";
import { type RouterConfig, type RouterPorts, type RunningRouter, startRouter } from "@stampyard/router";
import { startFakeControlPlane } from "../../packages/router/src/test-bed/fake-control-plane.ts";

/** A stamp as the router is told of it. */
export interface StampAt {
  readonly stamp: string;
  readonly tenant: string;
  readonly port: number;
}

export interface RouterUnderTest extends AsyncDisposable {
  readonly port: number;
  readonly adminPort: number;
  readonly running: RunningRouter;
}

export const tenantHeader = "x-tenant-id";
export const domain = "localhost";

export function hostOf(tenant: string): string {
  return `${tenant}.${domain}`;
}

const secretOf = (stamp: string) => Buffer.alloc(32, stamp).toString("base64url");

/** Whether this header says, with a valid signature of now, that the router means this tenant at this stamp. */
export function isRouteOf(header: string, { stamp, tenant }: Pick<StampAt, "stamp" | "tenant">): boolean {
  const keys = parseRouteKeys(`k1:${secretOf(stamp)}`);
  const verdict = verifyRoute(header, { stamp, keys, nowMs: Date.now() });
  return verdict.kind === "ok" && verdict.tenant === tenant;
}

/** A router from outside: it follows a feed that names the stamps, and serves on a port of its own. */
export async function startRouterUnderTest(
  stamps: readonly StampAt[],
  config: Partial<RouterConfig> = {},
  ports: RouterPorts = {},
): Promise<RouterUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "stampyard-conformance-"));
  const controlPlane = await startFakeControlPlane();
  controlPlane.change({
    kind: "routing-put",
    routing: { domains: [domain], header: { name: tenantHeader, trustedPeers: ["10.0.0.0/8"] } },
  });
  for (const { stamp, port } of stamps) {
    controlPlane.setKeys(stamp, [{ kid: "k1", secret: secretOf(stamp) }]);
    const endpoints = [{ host: "127.0.0.1", port }];
    controlPlane.change({ kind: "stamp-put", stamp, pool: "p", region: "r", endpoints, endpointRevision: 1 });
  }
  for (const { stamp, tenant } of stamps) {
    controlPlane.change({ kind: "tenant-put", tenant, stamp, epoch: 1, hostnames: [] });
  }
  const loopback = { host: "127.0.0.1", port: 0 };
  const running = await startRouter(
    {
      name: "r1",
      listen: loopback,
      admin: loopback,
      stateDir: folder,
      controlPlane: { url: controlPlane.url },
      drainMs: 100,
      maxConnections: 20_000,
      maxConnectionsPerClient: 10_000,
      // The same tests for the other way to serve sockets.
      ...(process.env["STAMPYARD_ROUTER_IO"] === "fast" ? { io: "fast" as const } : {}),
      ...config,
    },
    { log: () => {}, backoff: { firstMs: 20, mostMs: 100 }, ...ports },
  );
  await untilReady(running.adminPort);
  return {
    port: running.listenPort,
    adminPort: running.adminPort,
    running,
    async [Symbol.asyncDispose]() {
      await running.close();
      await controlPlane.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilReady(adminPort: number): Promise<void> {
  await eventually(async () => {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`);
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`The router is not ready: ${answer.status}`);
  });
}

/** Waits for a state, never for a time; tells the last failure when it does not come. */
export async function eventually<T>(check: () => T | Promise<T>, deadlineMs = 8_000): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await check();
    } catch (caught) {
      if (performance.now() > deadline) throw caught;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
