import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { DirectoryChange, DirectoryView } from "@stampyard/directory";
import type { AccessLog } from "./access-log.ts";
import type { Timeouts } from "./forward.ts";
import { createHttpServer, type ServerLimits } from "./http-server.ts";
import type { Metrics } from "./metrics.ts";
import { createRouteSigner, type StampKeys } from "./route-signer.ts";
import { type Serving, serveRequest, serveUpgrade } from "./serve.ts";
import { createStampPools } from "./stamp-pool.ts";
import { makeTrustedPeers, unmapped } from "./trusted-peers.ts";

export interface DataPlaneOptions {
  readonly limits: ServerLimits;
  readonly timeouts: Timeouts;
  /** Requests on their way to one stamp, and tunnels to it; more are refused at once, so that one stamp's delay stays its own. */
  readonly maxInFlightPerStamp: number;
  readonly metrics: Metrics;
  readonly accessLog: AccessLog | undefined;
  /** Wall time, milliseconds. */
  readonly now: () => number;
}

/**
 * What serves requests. It is told the directory and keys by calls and tells nothing but numbers, so that it can live in
 * a process of its own beside the one that follows the feed (decision D17).
 */
export interface DataPlane {
  /** Resolves with the port. With `reusePort` several processes listen on one port, and the system spreads clients. */
  listen(host: string, port: number, options?: { readonly reusePort?: boolean }): Promise<number>;
  /** Another table is valid from now on. */
  replaceDirectory(directory: DirectoryView): void;
  /** The table that it has was changed in place. Keys stay: a stamp may come back, and keys are sent apart. */
  directoryChanged(change: DirectoryChange): void;
  setKeys(stamp: string, keys: StampKeys): void;
  hasKey(stamp: string): boolean;
  isTrusted(address: string): boolean;
  /** Requests and tunnels. */
  inFlight(): number;
  /** Takes no new connections, lets requests end for at most `drainMs`, then ends what is left. */
  close(drainMs: number): Promise<void>;
}

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const serving: Serving = {
    ...options,
    directory: undefined,
    trusted: () => false,
    signer: createRouteSigner(options.now),
    pools: createStampPools(() => performance.now()),
    tunnels: new Set(),
    inFlight: 0,
    draining: false,
  };
  const server = createHttpServer(options.limits, {
    request: (request, response, awaitsContinue) => serveRequest(serving, request, response, awaitsContinue),
    upgrade: (request, socket, head) => serveUpgrade(serving, request, socket, head),
  });
  const readRouting = () => {
    serving.trusted = makeTrustedPeers(serving.directory?.routing().header?.trustedPeers ?? []);
  };

  return {
    listen: (host, port, { reusePort = false } = {}) => listen(server, { host, port, reusePort }),
    replaceDirectory(next) {
      for (const { stamp } of serving.directory?.stamps() ?? []) {
        if (next.lookupStamp(stamp) === undefined) serving.pools.remove(stamp);
      }
      serving.directory = next;
      readRouting();
    },
    directoryChanged(change) {
      if (change.kind === "routing-put") readRouting();
      if (change.kind === "stamp-remove") serving.pools.remove(change.stamp);
    },
    setKeys: (stamp, keys) => serving.signer.setKeys(stamp, keys),
    hasKey: (stamp) => serving.signer.hasKey(stamp),
    isTrusted: (address) => serving.trusted(unmapped(address)),
    inFlight: () => serving.inFlight + serving.tunnels.size,
    close: (drainMs) => close(serving, server, drainMs),
  };
}

/** Resolves with the port, or rejects with what `listen` says, e.g. EADDRINUSE. */
function listen(server: Server, where: { host: string; port: number; reusePort: boolean }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      // Later errors are of single accepts, such as too many open files: the router goes on with what it has.
      server.on("error", () => {});
      resolve((server.address() as AddressInfo).port);
    });
  });
}

async function close(serving: Serving, server: Server, drainMs: number): Promise<void> {
  serving.draining = true;
  await new Promise<void>((resolve) => {
    const end = setTimeout(() => {
      server.closeAllConnections();
      for (const tunnel of serving.tunnels) tunnel.destroy();
    }, drainMs);
    server.close(() => {
      clearTimeout(end);
      resolve();
    });
    server.closeIdleConnections();
    // A tunnel has no end of its own; its client connects again, to another router.
    for (const tunnel of serving.tunnels) tunnel.end();
  });
  for (const tunnel of serving.tunnels) tunnel.destroy();
  serving.pools.close();
}
