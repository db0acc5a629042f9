import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type AcceptedRequest, acceptRequest } from "./accept-request.ts";
import { type AccessLog, traceparentOf } from "./access-log.ts";
import type { Decision } from "./decide.ts";
import { type Exchange, refuseExchange, sendAnswer } from "./exchange.ts";
import { findRoute, type Knowledge } from "./find-route.ts";
import { forward, type Timeouts } from "./forward.ts";
import { inboundRequestId } from "./forwarded-headers.ts";
import type { Metrics } from "./metrics.ts";
import { type ProblemAnswer, problemAnswer, type RefusalReason } from "./refusals.ts";
import { unmapped } from "./trusted-peers.ts";
import { endWithAnswer, openTunnel } from "./tunnel.ts";

export interface Serving extends Knowledge {
  readonly timeouts: Timeouts;
  readonly maxInFlightPerStamp: number;
  readonly metrics: Metrics;
  readonly accessLog: AccessLog | undefined;
  readonly now: () => number;
  readonly tunnels: Set<Duplex>;
  inFlight: number;
  draining: boolean;
}

/** What became known of a request; for the log and the counters. */
interface Seen {
  requestId: string;
  reason: string | undefined;
  decision: Decision | undefined;
  accepted: AcceptedRequest | undefined;
}

/** Serves one request to its end. */
export function serveRequest(
  serving: Serving,
  request: IncomingMessage,
  response: ServerResponse,
  awaitsContinue: boolean,
): void {
  const startedAt = performance.now();
  // An abort of the client is seen on the response; without a listener it would end the process.
  request.on("error", () => {});
  response.on("error", () => {});
  serving.inFlight += 1;
  const seen: Seen = { requestId: "", reason: undefined, decision: undefined, accepted: undefined };
  response.once("close", () => {
    serving.inFlight -= 1;
    record(serving, request, seen, response.headersSent ? response.statusCode : 0, startedAt);
  });
  if (serving.draining) response.shouldKeepAlive = false;

  const accepted = acceptRequest(request);
  const peerAddress = unmapped(request.socket.remoteAddress ?? "");
  const peerTrusted = serving.trusted(peerAddress);
  seen.requestId = inboundRequestId(request.headers, peerTrusted) ?? randomUUID();
  if (!accepted.ok || request.headers.upgrade?.toLowerCase() === "websocket") {
    seen.reason = accepted.ok ? "bad-upgrade" : accepted.reason;
    // What could not be read in one way only may have another end than we think: nothing follows it.
    sendAnswer(request, response, answerOf(accepted.ok ? "bad-upgrade" : accepted.reason, seen), { close: true });
    return;
  }
  seen.accepted = accepted.value;
  const { requestId } = seen;
  route(serving, seen, {
    request,
    response,
    accepted: accepted.value,
    requestId,
    peerAddress,
    peerTrusted,
    awaitsContinue,
    answeredBecause(reason) {
      seen.reason ??= reason;
    },
  });
}

function route(serving: Serving, seen: Seen, exchange: Exchange): void {
  const found = findRoute(serving, { ...exchange, upgrade: false });
  seen.decision = found.decision;
  if (found.kind === "refuse") {
    refuseExchange(exchange, found.reason);
    return;
  }
  const { pool, endpoints, headers, target } = found;
  if (pool.inFlight >= serving.maxInFlightPerStamp) {
    refuseExchange(exchange, "too-busy");
    return;
  }
  pool.inFlight += 1;
  exchange.response.once("close", () => {
    pool.inFlight -= 1;
  });
  forward({ exchange, pool, endpoints, target, headers, timeouts: serving.timeouts });
}

/** Serves one request for a WebSocket; `head` is what the client sent behind it already. */
export function serveUpgrade(serving: Serving, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const startedAt = performance.now();
  const seen: Seen = { requestId: randomUUID(), reason: undefined, decision: undefined, accepted: undefined };
  const settled = (status: number) => record(serving, request, seen, status, startedAt);
  const refuse = (reason: RefusalReason, detail?: string) => {
    seen.reason = detail ?? reason;
    const answer = answerOf(reason, seen, detail);
    endWithAnswer(socket, answer);
    settled(answer.status);
  };
  socket.on("error", () => socket.destroy());
  const accepted = acceptRequest(request);
  if (!accepted.ok) {
    refuse(accepted.reason);
    return;
  }
  seen.accepted = accepted.value;
  const peerAddress = unmapped(request.socket.remoteAddress ?? "");
  const peerTrusted = serving.trusted(peerAddress);
  const { requestId } = seen;
  const asking = { request, accepted: accepted.value, peerAddress, peerTrusted, requestId, upgrade: true };
  const found = findRoute(serving, asking);
  seen.decision = found.decision;
  if (found.kind === "refuse" || serving.draining || found.pool.tunnels >= serving.maxInFlightPerStamp) {
    refuse(found.kind === "refuse" ? found.reason : "too-busy");
    return;
  }
  const { pool, endpoints, target, headers } = found;
  pool.tunnels += 1;
  serving.tunnels.add(socket);
  socket.once("close", () => {
    pool.tunnels -= 1;
    serving.tunnels.delete(socket);
  });
  const { connectMs, idleMs: answerMs } = serving.timeouts;
  openTunnel({ request, socket, head, requestId, endpoints, target, headers, connectMs, answerMs, refuse, settled });
}

function record(serving: Serving, request: IncomingMessage, seen: Seen, status: number, startedAt: number): void {
  const ms = performance.now() - startedAt;
  const { tenant, stamp, epoch, rule } = seen.decision ?? {};
  serving.metrics.record({ stamp, status, reason: seen.reason, ms });
  if (serving.accessLog === undefined) return;
  const traceparent = traceparentOf(request.headers["traceparent"]);
  serving.accessLog.write({
    time: new Date(serving.now()).toISOString(),
    requestId: seen.requestId,
    method: request.method ?? "",
    path: (seen.accepted?.path ?? "").slice(0, 256),
    ...(tenant === undefined ? {} : { tenant }),
    ...(stamp === undefined ? {} : { stamp }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(rule === undefined ? {} : { rule }),
    status,
    ...(seen.reason === undefined ? {} : { reason: seen.reason }),
    ms: Math.round(ms * 100) / 100,
    ...(traceparent === undefined ? {} : { traceparent }),
  });
}

function answerOf(reason: RefusalReason, { requestId }: Seen, detailReason?: string): ProblemAnswer {
  const detail = detailReason === undefined ? {} : { detailReason };
  return problemAnswer(reason, { requestId, jitter: Math.random(), ...detail });
}
