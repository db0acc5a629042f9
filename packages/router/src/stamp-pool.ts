import { Agent } from "node:http";
import type { Endpoint } from "@stampyard/domain";

/** Connections to one stamp. Never shared: what one stamp does to its connections is felt by its own tenants only (I10, I12). */
export interface StampPool {
  readonly agent: Agent;
  /** Requests and tunnels on their way; the caller counts. */
  inFlight: number;
  tunnels: number;
  /** Endpoints to try, in order: round robin, those that refused lately last. */
  order(endpoints: readonly Endpoint[]): readonly Endpoint[];
  /** The endpoint refused a connection; it goes last for a second. */
  avoid(endpoint: Endpoint): void;
}

export interface StampPools {
  of(stamp: string): StampPool;
  /** Ends idle connections; requests on their way finish. */
  remove(stamp: string): void;
  close(): void;
}

const avoidMs = 1_000;

/**
 * Idle connections are given up before a stamp gives them up (Node closes them after 5 s), so that a request is rarely
 * sent into a closing connection.
 */
const idleMs = 4_000;

export function createStampPools(now: () => number): StampPools {
  const pools = new Map<string, StampPool>();
  return {
    of(stamp) {
      let pool = pools.get(stamp);
      if (pool === undefined) {
        pool = createStampPool(now);
        pools.set(stamp, pool);
      }
      return pool;
    },
    remove(stamp) {
      const pool = pools.get(stamp);
      if (pool === undefined) return;
      pools.delete(stamp);
      for (const sockets of Object.values(pool.agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    },
    close() {
      for (const pool of pools.values()) pool.agent.destroy();
      pools.clear();
    },
  };
}

function createStampPool(now: () => number): StampPool {
  const avoided = new Map<string, number>();
  let turn = 0;
  const isAvoided = (endpoint: Endpoint) => (avoided.get(keyOf(endpoint)) ?? 0) > now();
  return {
    agent: new Agent({ keepAlive: true, maxFreeSockets: 64, timeout: idleMs, scheduling: "lifo" }),
    inFlight: 0,
    tunnels: 0,
    order(endpoints) {
      if (endpoints.length <= 1) return endpoints;
      turn = (turn + 1) % endpoints.length;
      const rotated = [...endpoints.slice(turn), ...endpoints.slice(0, turn)];
      if (avoided.size === 0) return rotated;
      return [...rotated.filter((one) => !isAvoided(one)), ...rotated.filter(isAvoided)];
    },
    avoid(endpoint) {
      for (const [key, until] of avoided) if (until <= now()) avoided.delete(key);
      avoided.set(keyOf(endpoint), now() + avoidMs);
    },
  };
}

function keyOf(endpoint: Endpoint): string {
  return `${endpoint.host}:${endpoint.port}`;
}
