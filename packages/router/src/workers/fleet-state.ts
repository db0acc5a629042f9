import type { DirectoryChange, DirectoryView, FeedPosition } from "@stampyard/directory";
import type { RouterConfig } from "../config.ts";
import type { Log } from "../log.ts";
import type { Counts } from "../metrics.ts";
import type { Losses } from "../open-plane.ts";
import type { ProcessIdentity } from "../process-record.ts";
import type { StampKeys } from "../route-signer.ts";
import type { FromWorker } from "./messages.ts";
import type { WorkerProcess } from "./place.ts";
import type { Publications } from "./publications.ts";
import type { SharedPort } from "./shared-port.ts";
import type { TenantShares } from "./tenant-shares.ts";
import type { WorkerLimits, WorkerState } from "./worker-plan.ts";
import type { WorkerRecorder } from "./worker-record.ts";

export interface FleetOptions {
  readonly config: RouterConfig;
  readonly workers: number;
  readonly log: Log;
  /** Workers of a parent that is gone, until they are. */
  readonly orphans: () => readonly ProcessIdentity[];
  /** Something may be acknowledged that could not be before. */
  readonly onApplied: () => void;
  readonly limits?: WorkerLimits;
  /** `reuse` = every worker opens the port; `handle` = the parent opens it and shares the socket (D17). @default what works here */
  readonly sharing?: PortSharing;
}

export type PortSharing = "reuse" | "handle";

/** One of the N places for a worker. */
export interface Place {
  readonly number: number;
  state: WorkerState;
  process: WorkerProcess | undefined;
  restarts: number;
}

export type Report = Extract<FromWorker, { kind: "report" }>;

export interface Fleet {
  readonly options: FleetOptions;
  readonly limits: WorkerLimits;
  readonly places: readonly Place[];
  readonly publications: Publications;
  readonly keys: Map<string, StampKeys>;
  readonly shares: TenantShares;
  /** When its parts were worked out last, by the patient clock. */
  sharedAt: number;
  readonly recorder: WorkerRecorder;
  /** Of workers that are gone. */
  readonly retired: { readonly counts: Counts; losses: Losses };
  address: { readonly host: string; port: number } | undefined;
  /** Port of the door for TLS; 0 = there is none, or it is not known yet. */
  securePort: number;
  /** Where the workers' socket comes from, if each cannot have its own. */
  shared: SharedPort | undefined;
  directory: DirectoryView | undefined;
  position: FeedPosition | undefined;
  flushedAt: number;
  unsent: { readonly change: DirectoryChange; readonly seq: number }[];
  /** The last table that was written out, so that workers that start together share it. */
  written: { readonly seq: number; readonly bytes: Uint8Array } | undefined;
  now: number;
  /** Told at every change of a place. */
  readonly watchers: Set<(place: Place, failure: string | undefined) => void>;
  readonly reports: Map<number, (worker: WorkerProcess, report: Report | undefined) => void>;
  lastReport: number;
}

export function processes({ places }: Fleet): WorkerProcess[] {
  return places.flatMap(({ process: worker }) => (worker === undefined ? [] : [worker]));
}
