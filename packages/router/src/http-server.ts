import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { problemAnswer, type RefusalReason } from "./refusals.ts";
import { endWithAnswer, isWebSocketRequest } from "./tunnel.ts";

export interface ServerLimits {
  /** All connections of this process. */
  readonly maxConnections: number;
  /** Connections of one address. Behind a load balancer every client has the balancer's. */
  readonly maxConnectionsPerClient: number;
}

export interface ServerHandlers {
  request(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** Requests of one connection that wait for their answers at the same time (pipelining). */
const maxPipelined = 32;
const maxRequestsPerConnection = 1_000;

/** An HTTP/1.1 server with every limit set; what the limits do not catch, `acceptRequest` judges. */
export function createHttpServer(limits: ServerLimits, handlers: ServerHandlers): Server {
  const pending = new WeakMap<Socket, { now: number; total: number }>();
  const server = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: 16 * 1024,
    // Judged by ourselves, so that the answer is ours too.
    requireHostHeader: false,
    joinDuplicateHeaders: false,
    headersTimeout: 10_000,
    // For receiving the whole request, uploads included.
    requestTimeout: 300_000,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: 65_000,
    noDelay: true,
    shouldUpgradeCallback: isWebSocketRequest,
  });
  // 0 = none are dropped silently; `acceptRequest` counts them.
  server.maxHeadersCount = 0;
  server.maxConnections = limits.maxConnections;

  const receive = (request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean) => {
    const counts = pending.get(request.socket) ?? { now: 0, total: 0 };
    pending.set(request.socket, counts);
    counts.now += 1;
    counts.total += 1;
    response.once("close", () => {
      counts.now -= 1;
    });
    if (counts.now > maxPipelined) return void request.socket.destroy();
    if (counts.total >= maxRequestsPerConnection) response.shouldKeepAlive = false;
    handlers.request(request, response, awaitsContinue);
  };
  server.on("request", (request, response) => receive(request, response, false));
  // Without these listeners Node says 100 by itself, before we know whether anybody wants the body.
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.expect?.trim().toLowerCase() === "100-continue") receive(request, response, true);
    else refuse(response, "bad-expectation");
  });
  server.on("checkExpectation", (_request, response: ServerResponse) => refuse(response, "bad-expectation"));
  server.on("connect", (_request, socket: Duplex) => endWithAnswer(socket, answer("bad-method")));
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    handlers.upgrade(request, socket, head),
  );
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    endWithAnswer(socket, answer(clientErrorReason(error.code)));
  });
  limitPerClient(server, limits.maxConnectionsPerClient);
  return server;
}

function clientErrorReason(code: string | undefined): RefusalReason {
  if (code === "HPE_HEADER_OVERFLOW") return "too-many-headers";
  return code === "ERR_HTTP_REQUEST_TIMEOUT" ? "request-timeout" : "bad-syntax";
}

/** A total alone would let one client take all of it. */
function limitPerClient(server: Server, most: number): void {
  const counts = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (counts.get(address) ?? 0) + 1;
    if (count > most) return void socket.destroy();
    counts.set(address, count);
    socket.once("close", () => {
      const left = (counts.get(address) ?? 1) - 1;
      if (left === 0) counts.delete(address);
      else counts.set(address, left);
    });
  });
}

function refuse(response: ServerResponse, reason: RefusalReason): void {
  const { status, headers, body } = answer(reason);
  response.writeHead(status, [...headers, "connection", "close"]);
  response.end(body);
}

function answer(reason: RefusalReason) {
  return problemAnswer(reason, { jitter: Math.random() });
}
