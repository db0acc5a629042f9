import type { DirectoryChange } from "@stampyard/directory";
import type { RouterConfig } from "../config.ts";
import type { Counts } from "../metrics.ts";
import type { Losses } from "../open-plane.ts";
import type { StampKeys } from "../route-signer.ts";
import type { Hold } from "../servers.ts";
import type { TenantDemand } from "../tenant-parts.ts";
import type { CertificateFacts } from "../tls/certificate-store.ts";
import type { UnresolvedRow } from "../unresolved.ts";

/**
 * What parent and worker say to each other, structured clones over the channel that comes with the process. Both run the
 * same code of the same start, so messages have no versions. The channel keeps the order: what was sent before a worker
 * is told to listen is applied before its first request.
 */
export type ToWorker =
  /** Comes first, once. */
  | {
      readonly kind: "begin";
      readonly config: RouterConfig;
      /** Number of workers that share the limits. */
      readonly shares: number;
      readonly keys: ReadonlyMap<string, StampKeys>;
    }
  /** The whole table, as a snapshot file. `seq` numbers what was published; it is the parent's own and starts at 1. */
  | { readonly kind: "table"; readonly seq: number; readonly bytes: Uint8Array }
  | { readonly kind: "changes"; readonly seq: number; readonly changes: readonly DirectoryChange[] }
  | { readonly kind: "keys"; readonly stamp: string; readonly keys: StampKeys }
  | { readonly kind: "listen"; readonly host: string; readonly port: number }
  | ({ readonly kind: "hold" } & Hold)
  | { readonly kind: "release"; readonly tenant: string; readonly moveId: string }
  /** Parts of the rates of tenants, in place of those before. */
  | { readonly kind: "tenant-parts"; readonly parts: ReadonlyMap<string, number> }
  /** Comes with the parent's listening socket. */
  | { readonly kind: "listen-shared" }
  /** Comes with a connection that the parent accepted. */
  | { readonly kind: "connection" }
  /** Asks for a `report` at once; for a tenant, also how many of its requests are on their way. */
  | { readonly kind: "report"; readonly id: number; readonly tenant?: string }
  | { readonly kind: "reopen-log" }
  | { readonly kind: "drain"; readonly ms: number };

export type FromWorker =
  /** Has what it was sent, and may be told to listen. */
  | { readonly kind: "ready" }
  /** `securePort` is that of the door for TLS; 0 = there is none. */
  | { readonly kind: "listening"; readonly port: number; readonly securePort: number }
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  | { readonly kind: "applied"; readonly seq: number }
  | ({ readonly kind: "beat"; readonly demand: readonly TenantDemand[] } & WorkerPulse)
  | {
      readonly kind: "report";
      readonly id: number;
      readonly pulse: WorkerPulse;
      readonly tenantInFlight: number;
      readonly unresolved: readonly UnresolvedRow[];
      readonly certificates: readonly CertificateFacts[];
    }
  /** The last word of one that ended well; it holds the last numbers. */
  | ({ readonly kind: "drained" } & WorkerPulse);

export interface WorkerPulse {
  readonly inFlight: number;
  /** Of clients. */
  readonly connections: number;
  /** Stamps whose breaker is not closed. */
  readonly tripped: readonly string[];
  /** Since its start, all of it. Absent in a beat when nothing was counted since the last one. */
  readonly counts?: Counts;
  readonly losses: Losses;
  readonly rssBytes: number;
  /** Longest time that its event loop was late since the last beat, in milliseconds. */
  readonly lateMs: number;
}

/** Between two beats. */
export const beatMs = 250;
