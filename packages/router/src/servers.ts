import type { DirectoryChange, DirectoryView, FeedPosition } from "@stampyard/directory";
import type { Counts } from "./metrics.ts";
import { type Losses, openPlane, type PlanePorts } from "./open-plane.ts";
import type { RouterConfig } from "./config.ts";
import type { StampKeys } from "./route-signer.ts";
import type { CertificateFacts } from "./tls/certificate-store.ts";
import type { UnresolvedRow } from "./unresolved.ts";

/** Where the follower's table goes. Positions are those that the table has after the change. */
export interface DirectorySink {
  replaceDirectory(directory: DirectoryView, position: FeedPosition): void;
  /** The table was changed in place already. */
  directoryChanged(change: DirectoryChange, position: FeedPosition): void;
  setKeys(stamp: string, keys: StampKeys): void;
  /** Requests of the tenant wait for the end of its move, within bounds (D13). */
  hold(hold: Hold): void;
  release(hold: Pick<Hold, "tenant" | "moveId">): void;
}

export interface Hold {
  readonly tenant: string;
  readonly moveId: string;
  readonly ttlMs: number;
}

/** Who serves requests: this process, or workers under it. */
export interface Servers extends DirectorySink {
  /** Resolves with the port when all listen. */
  listen(host: string, port: number): Promise<number>;
  /** The port of the door for TLS, once all listen; undefined = there is none. */
  securePort(): number | undefined;
  /** The newest position, not newer than `durable`, that everybody who listens has applied (D8). */
  acknowledgeable(durable: FeedPosition): FeedPosition | undefined;
  /** Requests and tunnels. */
  inFlight(): number;
  /** Requests of one tenant, in all processes, as far as they answer. */
  inFlightOf(tenant: string): Promise<number>;
  /** What no tenant claimed, in all processes; most frequent first. */
  unresolved(): Promise<readonly UnresolvedRow[]>;
  /** What all of them counted since the router started, those that died included. */
  counts(): Promise<Counts>;
  losses(): Losses;
  /** Certificates that end first, as a process that serves has them; none without TLS, or when nobody answers. */
  certificates(): Promise<readonly CertificateFacts[]>;
  /** Connections of clients. */
  connections(): number;
  /** Stamps whose breaker is not closed, with the number of processes that hold it so. */
  tripped(): ReadonlyMap<string, number>;
  /** One row per process that serves; none while this process serves by itself. */
  workers(): readonly WorkerFacts[];
  reopenLogs(): void;
  /** Workers of an earlier parent have ended. */
  orphansGone(): void;
  /** Takes no new connections, lets requests end for at most `drainMs`, then ends what is left. */
  close(drainMs: number): Promise<void>;
}

export interface WorkerFacts {
  readonly place: number;
  /** 0 = no process now. */
  readonly pid: number;
  readonly state: string;
  /** Times that its place was filled anew. */
  readonly restarts: number;
  readonly inFlight: number;
  readonly rssBytes: number;
  /** Longest delay of its event loop within one beat, in milliseconds. */
  readonly lateMs: number;
  /** Since it was last heard, in milliseconds. */
  readonly silentMs: number;
  /** Changes that it was sent and has not confirmed. */
  readonly changesBehind: number;
}

/** Serves in this process: for tests, embedders and `STAMPYARD_ROUTER_WORKERS=0`. */
export function serveHere(config: RouterConfig, ports: PlanePorts): Servers {
  const { plane, metrics, losses, reopenLog, closeLogs } = openPlane(config, 1, ports);
  return {
    replaceDirectory: (directory) => plane.replaceDirectory(directory),
    directoryChanged: (change) => plane.directoryChanged(change),
    setKeys: (stamp, keys) => plane.setKeys(stamp, keys),
    hold: (hold) => plane.hold(hold),
    release: (hold) => plane.release(hold),
    listen: (host, port) => plane.listen(host, port),
    securePort: () => (config.tls === undefined ? undefined : plane.securePort()),
    acknowledgeable: (durable) => durable,
    inFlight: () => plane.inFlight(),
    inFlightOf: async (tenant) => plane.inFlightOf(tenant),
    unresolved: async () => plane.routeState().unresolved.rows(),
    counts: async () => metrics.counts(),
    losses,
    certificates: async () => plane.certificates(),
    connections: () => plane.connections(),
    tripped: () => new Map(plane.tripped().map((stamp) => [stamp, 1])),
    workers: () => [],
    reopenLogs: reopenLog,
    orphansGone: () => {},
    async close(drainMs) {
      await plane.close(drainMs);
      await closeLogs();
    },
  };
}
