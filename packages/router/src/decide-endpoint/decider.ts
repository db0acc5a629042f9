import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { DirectoryChange, DirectoryView } from "@stampyard/directory";
import { routeHeader } from "@stampyard/guard";
import type { Decision, Forward } from "../decide.ts";
import { decideInForce, factsOf, noteUnresolved, redirection } from "../find-route.ts";
import { problemAnswer, type RefusalDetail, type RefusalReason } from "../refusals.ts";
import { type Counts, createMetrics, lostByTrial, type Metrics } from "../metrics.ts";
import { createRouteSigner, type RouteSigner, type StampKeys } from "../route-signer.ts";
import { createRouteState, type RouteState, type RouteStateOptions } from "../route-state.ts";
import { routingHeaders } from "../routing-headers.ts";
import { limitsFor } from "../tenant-gate.ts";
import { readOriginalRequest } from "./original-request.ts";

/** Answers ingresses that ask where a request goes, from the same table as everybody who serves. */
export interface Decider {
  readonly state: RouteState;
  /** Requests that rules on trial took from their stamp. All others are in the ingress's own log, with theirs. */
  counts(): Counts;
  replaceDirectory(directory: DirectoryView): void;
  directoryChanged(change: DirectoryChange): void;
  setKeys(stamp: string, keys: StampKeys): void;
  hold(hold: { readonly tenant: string; readonly moveId: string; readonly ttlMs: number }): void;
  release(hold: { readonly tenant: string; readonly moveId: string }): void;
  /** Resolves with the port. Loopback only: whoever can ask gets signed headers. */
  listen(host: string, port: number): Promise<number>;
  close(): Promise<void>;
}

interface Deciding {
  directory: DirectoryView | undefined;
  readonly signer: RouteSigner;
  readonly state: RouteState;
  readonly metrics: Metrics;
  turn: number;
}

export function createDecider(options: RouteStateOptions): Decider {
  const deciding: Deciding = {
    directory: undefined,
    signer: createRouteSigner(options.now),
    state: createRouteState(options),
    metrics: createMetrics(0, options.now),
    turn: 0,
  };
  const { signer, state } = deciding;
  const server = openServer(deciding);
  const epochOf = (tenant: string) => deciding.directory?.lookupTenant(tenant)?.epoch ?? 0;
  return {
    state,
    counts: () => deciding.metrics.counts(),
    replaceDirectory(directory) {
      deciding.directory = directory;
      for (const { tenant } of state.holds.states()) state.holds.moved(tenant, epochOf(tenant));
    },
    directoryChanged(change) {
      if (change.kind === "tenant-put") state.holds.moved(change.tenant, change.epoch);
    },
    setKeys: (stamp, keys) => signer.setKeys(stamp, keys),
    hold: ({ tenant, moveId, ttlMs }) => state.holds.hold(tenant, moveId, ttlMs, epochOf(tenant)),
    release: ({ tenant, moveId }) => state.holds.release(tenant, moveId),
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function openServer(deciding: Deciding): Server {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000, maxHeaderSize: 65_536 });
  server.maxConnections = 4_096;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    response.on("error", () => {});
    const path = request.url ?? "/";
    if (!/^\/decide(?:$|[/?])/.test(path)) {
      response.writeHead(404, { "content-type": "text/plain" }).end("Ask GET /decide\n");
      return;
    }
    // nginx's auth_request knows 401 and 403 only; the true status is in a header then.
    const flat = /^\/decide\?(?:[^/]*&)?refuse=403(?:&|$)/.test(path);
    answer(deciding, request.rawHeaders, path, (found) => respond(response, found, flat));
  });
  return server;
}

type Answer =
  | { readonly kind: "forward"; readonly headers: readonly string[] }
  | { readonly kind: "refuse"; readonly reason: RefusalReason; readonly detail?: RefusalDetail | undefined };

/** Waits for a held tenant as the router does; the ingress keeps its client waiting meanwhile. */
function answer(
  deciding: Deciding,
  rawHeaders: readonly string[],
  target: string,
  done: (answer: Answer) => void,
): void {
  const found = answerNow(deciding, rawHeaders, target);
  if (found.kind !== "wait") {
    done(found);
    return;
  }
  deciding.state.holds.wait(found.tenant, (verdict) => {
    const now = verdict === "go" ? answerNow(deciding, rawHeaders, target) : found;
    done(now.kind === "wait" ? { kind: "refuse", reason: "held" } : now);
  });
}

function answerNow(
  deciding: Deciding,
  rawHeaders: readonly string[],
  target: string,
): Answer | { readonly kind: "wait"; readonly tenant: string } {
  const { directory, state } = deciding;
  if (directory === undefined) return { kind: "refuse", reason: "not-ready" };
  const original = readOriginalRequest(rawHeaders, target);
  if (typeof original === "string") return { kind: "refuse", reason: original };
  const { accepted, clientAddress = "" } = original;
  const peerTrusted = clientAddress !== "" && routingHeaders(directory.routing()).trusted(clientAddress);
  const asking = { request: { rawHeaders }, accepted, peerAddress: clientAddress, peerTrusted };
  const facts = factsOf(directory.routing(), asking, state);
  if (facts === undefined) return { kind: "refuse", reason: "malformed-header" };

  const decision = decideInForce(directory, facts, asking, state);
  noteUnresolved(directory, facts, decision, state);
  if (decision.lost !== undefined) {
    deciding.metrics.record({ ...decision.lost, status: 0, reason: lostByTrial, ms: 0, isLost: true });
  }
  if (decision.kind === "refuse") {
    return { kind: "refuse", reason: decision.reason, detail: redirection(state, decision, asking) };
  }
  const { tenant } = decision;
  if (tenant !== undefined && state.holds.isHeld(tenant)) return { kind: "wait", tenant };
  return forwarding(deciding, directory, decision, accepted.query);
}

function forwarding(deciding: Deciding, directory: DirectoryView, decision: Forward, query: string): Answer {
  const { signer, state } = deciding;
  const route = signer.sign(decision);
  const home = directory.lookupStamp(decision.stamp);
  if (route === undefined) return { kind: "refuse", reason: "no-route-key" };
  const limited = overRate(state, directory, decision, home?.pool ?? "");
  if (limited !== undefined) return limited;
  const endpoints = home?.endpoints ?? [];
  deciding.turn += 1;
  const endpoint = endpoints[deciding.turn % endpoints.length];
  if (endpoint === undefined) return { kind: "refuse", reason: "no-endpoint" };
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  const headers = [
    ["stampyard-tenant", decision.tenant ?? "-"],
    ["stampyard-stamp", decision.stamp],
    ["stampyard-endpoint", `${host}:${endpoint.port}`],
    ["stampyard-epoch", `${decision.epoch}`],
    ["stampyard-rule", decision.rule],
    ["stampyard-uri", `${decision.path}${query}`],
    [routeHeader, route],
  ];
  return { kind: "forward", headers: headers.flat() };
}

/** The rate only: when the request ends is known to the ingress and not here. */
function overRate(state: RouteState, directory: DirectoryView, decision: Decision, pool: string): Answer | undefined {
  if (decision.tenant === undefined) return undefined;
  const { requestsPerSecond, burst } = limitsFor(directory.routing().limits, pool, directory, decision.tenant) ?? {};
  if (requestsPerSecond === undefined) return undefined;
  const verdict = state.gate.enter(decision.tenant, { requestsPerSecond, ...(burst === undefined ? {} : { burst }) });
  if (verdict.kind !== "rate") {
    state.gate.leave(decision.tenant);
    return undefined;
  }
  return { kind: "refuse", reason: "too-many-requests", detail: { retryAfterMs: verdict.retryAfterMs } };
}

function respond(response: ServerResponse, found: Answer, flat: boolean): void {
  if (found.kind === "forward") {
    response.writeHead(200, [...found.headers, "content-length", "0", "cache-control", "no-store"]).end();
    return;
  }
  const { status, headers, body } = problemAnswer(found.reason, { ...found.detail, jitter: Math.random() });
  const said = ["stampyard-status", `${status}`, "stampyard-reason", found.reason];
  response.writeHead(flat ? 403 : status, [...headers, ...said]).end(body);
}
