import type { Socket } from "node:net";
import { randomUUID } from "node:crypto";
import type { DirectoryChange, DirectoryView } from "@stampyard/directory";
import type { AccessSink } from "./access-log.ts";
import { createClientCaps } from "./bulkhead/client-caps.ts";
import { createStampBreakers } from "./bulkhead/stamp-breakers.ts";
import { createEntrance } from "./entrance.ts";
import type { TlsConfig } from "./entrance-config.ts";
import { directIoProblem } from "./front/direct-io.ts";
import type { ClientSide, Exchange } from "./front/exchange.ts";
import { forwardExchange } from "./front/forwarding.ts";
import { type Front, openFront } from "./front/front.ts";
import type { IoMode } from "./front/io.ts";
import { endWhatMoved } from "./front/long-lived.ts";
import { recordRefusedHead } from "./front/record.ts";
import { headContext, type Serving, type Timeouts } from "./front/serving.ts";
import { createStampPools } from "./front/stamp-pool.ts";
import { startTimerWheel, type TimerWheel } from "./front/timer-wheel.ts";
import { oncePerTurn } from "./front/turn.ts";
import type { HeadContext, RequestHead } from "./http1/request-head.ts";
import { type Log, stderrLog } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { createRouteSigner, type StampKeys } from "./route-signer.ts";
import { createRouteState, type RouteState } from "./route-state.ts";
import { routingHeaders } from "./routing-headers.ts";
import { type CertificateFacts, type CertificateStore, openCertificateStore } from "./tls/certificate-store.ts";
import type { TenantGate } from "./tenant-gate.ts";
import { makeTrustedPeers, unmapped } from "./trusted-peers.ts";

export interface ServerLimits {
  /** All connections of this process. */
  readonly maxConnections: number;
  /** Connections of one address. Behind a load balancer that is not trusted every client has the balancer's. */
  readonly maxConnectionsPerClient: number;
}

export interface DataPlaneOptions {
  readonly limits: ServerLimits;
  readonly timeouts: Timeouts;
  /** Requests on their way to one stamp, and tunnels to it; more are refused at once, so that one stamp's delay stays its own. */
  readonly maxInFlightPerStamp: number;
  /** Connections to one stamp; requests above wait for one. @default maxInFlightPerStamp */
  readonly maxConnectionsPerStamp?: number;
  readonly metrics: Metrics;
  /** How sockets are served. @default "public" */
  readonly io?: IoMode | undefined;
  readonly accessLog: AccessSink | undefined;
  /** Wall time, milliseconds. */
  readonly now: () => number;
  /** Serves only what is at home there. @default all */
  readonly regions?: readonly string[] | undefined;
  /** Where requests for other regions are sent, e.g. `https://{region}.example.com`; absent = 421. */
  readonly redirect?: string | undefined;
  /** Processes that share the limits of tenants in equal parts. @default 1 */
  readonly shares?: number;
  /** Peers that begin every connection with a PROXY protocol header, as addresses or CIDR blocks. @default none */
  readonly proxyPeers?: readonly string[] | undefined;
  /** Where clients come by TLS, beside the plain door. Absent = nowhere. */
  readonly tls?: TlsConfig | undefined;
  /** @default stderrLog */
  readonly log?: Log;
}

/**
 * What serves requests. It is told the directory and keys by calls and tells nothing but numbers, so that it can live in
 * a process of its own beside the one that follows the feed (decision D17).
 */
export interface DataPlane {
  /**
   * Resolves with the port, when the door for TLS is open too, if there is one. With `reusePort` several processes listen
   * on one port, and the system spreads clients.
   */
  listen(host: string, port: number, options?: { readonly reusePort?: boolean }): Promise<number>;
  /** Another table is valid from now on. */
  replaceDirectory(directory: DirectoryView): void;
  /** The table that it has was changed in place. Keys stay: a stamp may come back, and keys are sent apart. */
  directoryChanged(change: DirectoryChange): void;
  /** Requests of the tenant wait for the end of its move, within bounds (decision D13). */
  hold(hold: { readonly tenant: string; readonly moveId: string; readonly ttlMs: number }): void;
  release(hold: { readonly tenant: string; readonly moveId: string }): void;
  /** Which part of its rate each of these tenants has here, and what was seen of demand: `TenantParts`. */
  readonly tenantRates: Pick<TenantGate, "setParts" | "demand">;
  /** Requests of the tenant on their way to its stamp; tunnels count. */
  inFlightOf(tenant: string): number;
  /** What routing remembers: holds, requests of each tenant on their way, what no tenant claimed. */
  routeState(): RouteState;
  setKeys(stamp: string, keys: StampKeys): void;
  hasKey(stamp: string): boolean;
  isTrusted(address: string): boolean;
  /** Requests and tunnels. */
  inFlight(): number;
  /** Of clients. */
  connections(): number;
  /** Stamps whose breaker is open, or half. */
  tripped(): readonly string[];
  /** The port of the door for TLS; 0 = there is none. */
  securePort(): number;
  /** Certificates of the door for TLS that end first. */
  certificates(): readonly CertificateFacts[];
  /** Serves a connection that somebody else accepted at the plain door. */
  accept(socket: Socket): void;
  /** Reads certificates again; connections that stand keep theirs. Changes of the files are noticed without it. */
  reloadCertificates(): Promise<void>;
  /** For other fronts, such as TLS and HTTP/2: they bring a connection, or a request that was read, and share the rest. */
  readonly front: Pick<Front, "serveSocket" | "admit">;
  readonly exchanges: ExchangeServing;
  /** Takes no new connections, lets requests end for at most `drainMs`, then ends what is left. */
  close(drainMs: number): Promise<void>;
}

/** What a front needs that reads requests by itself. */
export interface ExchangeServing {
  readonly wheel: TimerWheel;
  /** How heads of this peer are read under the present routing. */
  context(address: string): HeadContext;
  /** `start` begins it. */
  open(head: RequestHead, client: ClientSide): Exchange;
  /** A request was answered by the front itself, before there was an exchange. */
  refused(refusal: { readonly reason: string; readonly method: string; readonly status: number }): void;
}

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { limits } = options;
  const now = oncePerTurn(options.now);
  const clock = oncePerTurn(() => performance.now());
  const serving: Serving = {
    ...options,
    now,
    maxConnectionsPerStamp: options.maxConnectionsPerStamp ?? options.maxInFlightPerStamp,
    io: options.io ?? "public",
    directory: undefined,
    trusted: () => false,
    signer: createRouteSigner(now),
    state: createRouteState({ regions: options.regions, redirect: options.redirect, shares: options.shares, now }),
    pools: createStampPools(clock),
    breakers: createStampBreakers({ now: clock, chance: Math.random }),
    caps: createClientCaps({ total: limits.maxConnections, perClient: limits.maxConnectionsPerClient }, (address) =>
      serving.trusted(address),
    ),
    wheel: startTimerWheel(clock),
    connections: new Set(),
    longLived: new Map(),
    inFlight: 0,
    draining: false,
  };
  const problem = options.io === "fast" ? directIoProblem() : undefined;
  if (problem !== undefined)
    (options.log ?? stderrLog)("warn", "The fast way to serve sockets is not used", { problem });
  const front = openFront(serving);
  const readRouting = () => {
    serving.trusted =
      serving.directory === undefined ? () => false : routingHeaders(serving.directory.routing()).trusted;
  };

  const doors = openDoors(options, serving, front);

  return {
    listen: (host, port, { reusePort = false } = {}) => doors.listen({ host, port, reusePort }),
    securePort: doors.securePort,
    certificates: doors.certificates,
    accept: doors.accept,
    reloadCertificates: doors.reloadCertificates,
    replaceDirectory(next) {
      forgetOldEndpoints(serving, next);
      serving.directory = next;
      readRouting();
      for (const { tenant } of serving.state.holds.states()) {
        serving.state.holds.moved(tenant, next.lookupTenant(tenant)?.epoch ?? 0);
      }
      for (const tenant of [...serving.longLived.keys()]) endWhatMoved(serving, serving.directory, tenant);
    },
    directoryChanged(change) {
      if (change.kind === "routing-put") readRouting();
      if (change.kind === "tenant-put") serving.state.holds.moved(change.tenant, change.epoch);
      if (change.kind === "tenant-put" || change.kind === "tenant-remove")
        endWhatMoved(serving, serving.directory, change.tenant);
      if (change.kind === "stamp-put") serving.breakers.remove(change.stamp); // As `forgetOldEndpoints`.
      if (change.kind === "stamp-remove") forgetStamp(serving, change.stamp);
    },
    hold({ tenant, moveId, ttlMs }) {
      serving.state.holds.hold(tenant, moveId, ttlMs, serving.directory?.lookupTenant(tenant)?.epoch ?? 0);
    },
    release: ({ tenant, moveId }) => serving.state.holds.release(tenant, moveId),
    tenantRates: serving.state.gate,
    inFlightOf: (tenant) => serving.state.gate.inFlight(tenant),
    routeState: () => serving.state,
    setKeys: (stamp, keys) => serving.signer.setKeys(stamp, keys),
    hasKey: (stamp) => serving.signer.hasKey(stamp),
    isTrusted: (address) => serving.trusted(unmapped(address)),
    inFlight: () => serving.inFlight,
    connections: () => serving.caps.size(),
    tripped: () => serving.breakers.tripped(),
    front,
    exchanges: exchangesOf(serving),
    async close(drainMs) {
      await front.close(drainMs);
      doors.close();
    },
  };
}

/** The plain door, and the one for TLS where it is configured. */
function openDoors(
  { proxyPeers = [], tls, now, log = stderrLog, metrics }: DataPlaneOptions,
  serving: Serving,
  front: Front,
) {
  const entrance = createEntrance({
    front,
    exchanges: exchangesOf(serving),
    connections: serving.connections,
    proxyPeers: makeTrustedPeers(proxyPeers),
    directory: () => serving.directory,
    refused: (cause) => metrics.count("refused_connections", cause),
  });
  let store: CertificateStore | undefined;
  let securePort = 0;
  return {
    async listen(at: { readonly host: string; readonly port: number; readonly reusePort: boolean }) {
      if (tls !== undefined) {
        store = await openCertificateStore({ folder: tls.certificates, log, now });
        securePort = await front.listen({ ...tls.listen, reusePort: at.reusePort }, entrance.secure(store));
      }
      // Without listed peers there is nothing to do before the front reads.
      return proxyPeers.length === 0 ? front.listen(at) : front.listen(at, entrance.plain);
    },
    securePort: () => securePort,
    certificates: () => store?.soonest() ?? [],
    accept: entrance.plain,
    reloadCertificates: async () => store?.reload(),
    close: () => store?.close(),
  };
}

function exchangesOf(serving: Serving): ExchangeServing {
  return {
    wheel: serving.wheel,
    context: (address) => headContext(serving, address),
    open: (head, client) => forwardExchange(serving, client, head, serving.trusted(client.peer.address)),
    refused: ({ reason, method, status }) =>
      recordRefusedHead(serving, { reason, method, status, requestId: randomUUID() }),
  };
}

/**
 * Other endpoints are other processes: what the ones before failed at says nothing of them, and a stamp that is back would
 * be kept from its tenants for up to a second.
 */
function forgetOldEndpoints(serving: Serving, next: NonNullable<Serving["directory"]>): void {
  for (const { stamp, endpointRevision: old } of serving.directory?.stamps() ?? []) {
    const endpointRevision = next.lookupStamp(stamp)?.endpointRevision;
    if (endpointRevision === undefined) forgetStamp(serving, stamp);
    else if (endpointRevision !== old) serving.breakers.remove(stamp);
  }
}

function forgetStamp({ pools, breakers }: Serving, stamp: string): void {
  pools.remove(stamp);
  breakers.remove(stamp);
}
