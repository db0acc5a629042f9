import { mkdtemp, rm } from "node:fs/promises";
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DirectoryChange } from "@stampyard/directory";
import { createGuard, formatRouteKeys, type Guard, highestSeenOwnership } from "@stampyard/guard";
import type { RouterConfig } from "../config.ts";
import { type RouterPorts, type RunningRouter, startRouter } from "../router.ts";
import type { StampKeys } from "../route-signer.ts";
import { type FakeControlPlane, startFakeControlPlane } from "./fake-control-plane.ts";

/** A key of 32 equal bytes. */
export function keyOf(kid: string, byte: number): StampKeys[number] {
  return { kid, secret: Buffer.alloc(32, byte).toString("base64url") };
}

export interface FakeStamp {
  readonly name: string;
  readonly port: number;
  readonly keys: StampKeys;
  readonly guard: Guard;
  readonly server: Server;
  /** Requests that came, whatever was answered. */
  readonly seen: IncomingMessage[];
  handler: (request: IncomingMessage, response: ServerResponse, stamp: FakeStamp) => void;
  put(): DirectoryChange;
  /** Cuts every connection and listens no more. */
  stop(): Promise<void>;
}

/** Answers JSON: which stamp, and who the guard says the request is for. */
export function answerWho(request: IncomingMessage, response: ServerResponse, stamp: FakeStamp): void {
  void stamp.guard.check(request.headers).then((verdict) => {
    const body = JSON.stringify({ stamp: stamp.name, verdict, method: request.method, url: request.url });
    response.writeHead(200, { "content-type": "application/json" }).end(body);
  });
}

export async function startFakeStamp(name: string, byte: number, port = 0): Promise<FakeStamp> {
  const keys = [keyOf(`k${byte}`, byte)];
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    response.on("error", () => {});
    stamp.handler(request, response, stamp);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  const upgraded = new Set<Socket>();
  server.on("upgrade", (_request, socket: Socket) => upgraded.add(socket));
  const stamp: FakeStamp = {
    name,
    port: bound,
    keys,
    server,
    seen,
    guard: createGuard({ stamp: name, keys: formatRouteKeys(keys), ownership: highestSeenOwnership() }),
    handler: answerWho,
    put: () => ({
      kind: "stamp-put",
      stamp: name,
      pool: "shared",
      region: "eu-central",
      endpoints: [{ host: "127.0.0.1", port: bound }],
      endpointRevision: 1,
    }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const socket of upgraded) socket.destroy();
      }),
  };
  return stamp;
}

export function tenantPut(tenant: string, stamp: string, epoch = 1, hostnames: string[] = []): DirectoryChange {
  return { kind: "tenant-put", tenant, stamp, epoch, hostnames };
}

export const routing: DirectoryChange = {
  kind: "routing-put",
  routing: {
    domains: ["localhost"],
    path: { prefix: "/t", strip: true },
    header: { name: "x-tenant", trustedPeers: ["10.0.0.0/8"] },
  },
};

export interface TestBed extends AsyncDisposable {
  readonly folder: string;
  readonly controlPlane: FakeControlPlane;
  readonly stamps: readonly [FakeStamp, FakeStamp];
  /** Starts a router on the bed's folder; ended with the bed. */
  start(config?: Partial<RouterConfig>, ports?: RouterPorts): Promise<RunningRouter>;
  /** Ended with the bed. */
  own<T extends { stop(): Promise<void> }>(part: T): T;
}

/** Fast where a test waits; otherwise as in production. */
const testPorts: RouterPorts = { log: () => {}, backoff: { firstMs: 20, mostMs: 100 } };

/** Two stamps, acme and umbrella on the first, globex on the second, a control plane, and a folder. */
export async function makeTestBed(): Promise<TestBed> {
  const folder = await mkdtemp(join(tmpdir(), "stampyard-router-"));
  const controlPlane = await startFakeControlPlane();
  const stamps = [await startFakeStamp("eu-1", 1), await startFakeStamp("eu-2", 2)] as const;
  for (const stamp of stamps) {
    controlPlane.setKeys(stamp.name, stamp.keys);
    controlPlane.change(stamp.put());
  }
  controlPlane.change(routing, tenantPut("acme", "eu-1", 3, ["notes.acme.com"]), tenantPut("umbrella", "eu-1"));
  controlPlane.change(tenantPut("globex", "eu-2"));

  const parts: { stop(): Promise<void> }[] = [controlPlane, ...stamps];
  const routers: RunningRouter[] = [];
  return {
    folder,
    controlPlane,
    stamps,
    own(part) {
      parts.push(part);
      return part;
    },
    async start(config = {}, ports = {}) {
      const loopback = { host: "127.0.0.1", port: 0 };
      const router = await startRouter(
        {
          name: "r1",
          listen: loopback,
          admin: loopback,
          stateDir: folder,
          controlPlane: { url: controlPlane.url },
          drainMs: 200,
          // The same tests for the other way to serve sockets.
          ...(process.env["STAMPYARD_ROUTER_IO"] === "fast" ? { io: "fast" as const } : {}),
          ...config,
        },
        { ...testPorts, ...ports },
      );
      routers.push(router);
      return router;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(routers.map((router) => router.close()));
      await Promise.all(parts.map((part) => part.stop().catch(() => {})));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  json(): Record<string, unknown>;
}

/** One request on a connection of its own. Rejects when the answer is cut off. */
export function ask(
  port: number,
  options: {
    host?: string;
    path?: string;
    method?: string;
    headers?: Record<string, string | string[]>;
    body?: string | Buffer;
  } = {},
): Promise<Answer> {
  const { host = "acme.localhost", path = "/", method = "GET", headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, path, method, headers: { host, ...headers }, agent: false });
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        const json = () => JSON.parse(text) as Record<string, unknown>;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, json });
      });
    });
    request.end(body);
  });
}

/** Writes bytes to a connection and gives all that came back when it ended, or when `until` is in it. */
export function askRaw(port: number, bytes: string | Buffer, until?: string | RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`No end within 5 s; so far: ${JSON.stringify(text.slice(0, 500))}`));
    }, 5_000);
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (until !== undefined && (typeof until === "string" ? text.includes(until) : until.test(text))) end();
    });
    socket.on("error", () => {});
    socket.on("close", end);
    socket.write(bytes);
  });
}

/** Waits for a state, never for a time; tells the last failure when it does not come. */
export async function eventually<T>(check: () => T | Promise<T>, deadlineMs = 5_000): Promise<T> {
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
