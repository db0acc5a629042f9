import type { Endpoint } from "@stampyard/domain";
import type { Upstream } from "./upstream.ts";

/** Connections to one endpoint. */
export interface Lane extends Endpoint {
  /** Kept connections, the one used last at the end. */
  readonly idle: Upstream[];
  /** It refused a connection and goes last until then. */
  avoidUntil: number;
}

/** Somebody who waits for a connection to become free. */
export interface Waiting {
  onFree(): void;
}

/** Connections to one stamp. Never shared: what one stamp does to its connections is felt by its own tenants only (I10, I12). */
export interface StampPool {
  readonly stamp: string;
  /** Requests and tunnels on their way; the caller counts. */
  inFlight: number;
  tunnels: number;
  /** All connections but those of tunnels; the upstreams count. */
  connections: number;
  /** Requests that may be sent a second time; refilled by those that need not. */
  repeats: number;
  readonly waiting: Set<Waiting>;
  /** Endpoints to try, in order: round robin, those that refused lately last. */
  order(endpoints: readonly Endpoint[]): readonly Endpoint[];
  /** The endpoint refused a connection; it goes last for a second. */
  avoid(endpoint: Endpoint): void;
  lane(endpoint: Endpoint): Lane;
  /** A kept connection, or undefined. */
  take(lane: Lane): Upstream | undefined;
  keep(lane: Lane, upstream: Upstream): void;
  forget(lane: Lane, upstream: Upstream): void;
  /** The stamp is gone: connections are not kept any more. */
  retired: boolean;
}

export interface StampPools {
  of(stamp: string): StampPool;
  /** Ends idle connections; requests on their way finish. */
  remove(stamp: string): void;
  close(): void;
}

const avoidMs = 1_000;
const mostIdle = 256;
export const mostRepeats = 10;

export function createStampPools(now: () => number): StampPools {
  const pools = new Map<string, StampPool>();
  const retire = (pool: StampPool, lanes: readonly Lane[]) => {
    pool.retired = true;
    for (const { idle } of lanes) for (const upstream of idle.splice(0)) upstream.destroy();
  };
  const lanesOf = new Map<StampPool, Lane[]>();
  return {
    of(stamp) {
      let pool = pools.get(stamp);
      if (pool === undefined) {
        const lanes: Lane[] = [];
        pool = createStampPool(stamp, lanes, now);
        lanesOf.set(pool, lanes);
        pools.set(stamp, pool);
      }
      return pool;
    },
    remove(stamp) {
      const pool = pools.get(stamp);
      if (pool === undefined) return;
      pools.delete(stamp);
      retire(pool, lanesOf.get(pool) ?? []);
      lanesOf.delete(pool);
    },
    close() {
      for (const [pool, lanes] of lanesOf) retire(pool, lanes);
      lanesOf.clear();
      pools.clear();
    },
  };
}

function createStampPool(stamp: string, lanes: Lane[], now: () => number): StampPool {
  let turn = 0;
  function laneOf({ host, port }: Endpoint): Lane {
    for (const lane of lanes) if (lane.port === port && lane.host === host) return lane;
    const lane: Lane = { host, port, idle: [], avoidUntil: 0 };
    // Endpoints come and go with every start of a stamp.
    if (lanes.length >= 64) lanes.splice(0, lanes.length, ...lanes.filter((one) => one.idle.length > 0));
    lanes.push(lane);
    return lane;
  }
  return {
    stamp,
    inFlight: 0,
    tunnels: 0,
    connections: 0,
    repeats: mostRepeats,
    waiting: new Set(),
    retired: false,
    lane: laneOf,
    order(endpoints) {
      if (endpoints.length <= 1) return endpoints;
      turn = (turn + 1) % endpoints.length;
      const rotated = [...endpoints.slice(turn), ...endpoints.slice(0, turn)];
      const isAvoided = (endpoint: Endpoint) => laneOf(endpoint).avoidUntil > now();
      return [...rotated.filter((one) => !isAvoided(one)), ...rotated.filter(isAvoided)];
    },
    avoid(endpoint) {
      laneOf(endpoint).avoidUntil = now() + avoidMs;
    },
    take: (lane) => lane.idle.pop(),
    keep(lane, upstream) {
      if (this.retired || lane.idle.length >= mostIdle) upstream.destroy();
      else lane.idle.push(upstream);
    },
    forget(lane, upstream) {
      const at = lane.idle.indexOf(upstream);
      if (at >= 0) lane.idle.splice(at, 1);
    },
  };
}
