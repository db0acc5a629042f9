import type { AccessSink } from "../access-log.ts";
import type { ClientCaps } from "../bulkhead/client-caps.ts";
import type { StampBreakers } from "../bulkhead/stamp-breakers.ts";
import { trialsOf } from "../decide-by-trials.ts";
import type { Knowledge } from "../find-route.ts";
import type { GuardedField, HeadContext } from "../http1/request-head.ts";
import type { Metrics } from "../metrics.ts";
import { routingHeaders } from "../routing-headers.ts";
import type { IoMode } from "./io.ts";
import type { LongLivedByTenant } from "./long-lived.ts";
import type { TimerWheel } from "./timer-wheel.ts";

export interface Timeouts {
  /** Until a connection to a stamp stands, in milliseconds. */
  readonly connectMs: number;
  /** Without a byte in either direction, in milliseconds. */
  readonly idleMs: number;
  /** From the whole request sent until the head of its answer is there, in milliseconds. @default idleMs */
  readonly answerMs?: number;
  /** How long a request may wait for a connection to its stamp, in milliseconds. @default 5000 */
  readonly queueMs?: number;
  /** Until a request's head is there, from its first byte, in milliseconds. @default 10000 */
  readonly headMs?: number;
  /** Between two parts of a request's body, in milliseconds. @default 30000 */
  readonly bodyIdleMs?: number;
  /** Between two requests of a connection, in milliseconds. @default 65000 */
  readonly keepAliveMs?: number;
}

/** How long a new connection has for its first request when its router stops, in milliseconds. */
export const firstRequestMs = 1_000;

/** What every connection of a data plane needs. */
export interface Serving extends Knowledge {
  readonly timeouts: Timeouts;
  readonly maxInFlightPerStamp: number;
  /** Connections to one stamp, tunnels not counted; requests above wait for one to become free. */
  readonly maxConnectionsPerStamp: number;
  readonly metrics: Metrics;
  readonly accessLog: AccessSink | undefined;
  readonly breakers: StampBreakers;
  readonly caps: ClientCaps;
  readonly wheel: TimerWheel;
  readonly io: IoMode;
  /** Wall time, milliseconds. */
  readonly now: () => number;
  /** Client connections, to be ended. */
  readonly connections: Set<{ drain(): void; destroy(): void }>;
  readonly longLived: LongLivedByTenant;
  /** Requests and tunnels. */
  inFlight: number;
  draining: boolean;
}

/**
 * How heads of this peer are read under the present routing. Whose request it is, is known later, so what rules on trial
 * read is guarded at every stamp: one that goes by them must not get it from anybody. The fleet's own rules come first.
 */
export function headContext({ directory, trusted }: Knowledge, address: string): HeadContext {
  const peerTrusted = trusted(address);
  if (directory === undefined) return { peerTrusted, guarded: [] };
  const routing = directory.routing();
  const guarded: GuardedField[] = [];
  for (const rules of [routing, ...trialsOf(routing).map((trial) => trial.routing)]) {
    const { tenant, country, trusted: trusts, trustedForCountry } = routingHeaders(rules);
    if (tenant !== undefined) guarded.push({ name: tenant, believed: trusts(address) });
    if (country !== undefined) guarded.push({ name: country, believed: trustedForCountry(address) });
  }
  return { peerTrusted, guarded };
}

/** The same for all requests of a connection; worked out again only when routing has changed. */
export function headContexts(serving: Knowledge, address: string): () => HeadContext {
  let context: HeadContext | undefined;
  let seen: unknown;
  return () => {
    const routing = serving.directory?.routing();
    if (context === undefined || routing !== seen) {
      seen = routing;
      context = headContext(serving, address);
    }
    return context;
  };
}
