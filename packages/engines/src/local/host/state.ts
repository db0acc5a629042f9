import type { ComponentStatus, Component, Digest, Endpoint, FencingToken, Instant } from "@stampyard/domain";
import type { Ledger } from "../ledger.ts";
import { readJson, writeWhole } from "../file.ts";
import type { Goal } from "../goal.ts";
import type { StampPlace } from "../places.ts";
import type { ProcessIdentity } from "../process/identity.ts";

/** A process that serves, or served, for one replica of a component. */
export interface ProcessRecord {
  readonly identity: ProcessIdentity;
  /** Rises with every replacement; each generation of a listening component has its own port. */
  readonly generation: number;
  readonly port?: number;
}

/** An old process that still answers what reaches it until routers know the new one. */
export interface RetiringRecord extends ProcessRecord {
  readonly until: Instant;
  /** What it was started from: who goes back to that takes it back. */
  readonly definition?: string;
  readonly inputs?: string;
}

export interface InstanceRecord {
  readonly component: string;
  readonly replica: number;
  readonly kind: Component["kind"];
  /** Digests of what it was started from: the template's words, and those with all values filled in. */
  definition: string;
  inputs: string;
  generation: number;
  /** The inputs it was healthy with: what was proven once is kept up by the host for ever. */
  proven?: string;
  current?: ProcessRecord;
  /** Started, but not yet healthy enough to take over. */
  candidate?: ProcessRecord;
  retiring: readonly RetiringRecord[];
  /** The goal does not name it any more; it goes then, once routers have heard and nobody uses it. */
  leaving?: Instant | undefined;
  /** The port that routers are told, set when the process behind it was healthy. */
  servedPort?: number;
  /** Whether the host should keep it running. */
  wanted: boolean;
  status: ComponentStatus;
  reason?: string | undefined;
  restarts: number;
  since: Instant;
}

export interface JobRecord {
  readonly stampDigest: Digest;
  readonly releaseDigest: Digest;
  readonly definition: string;
  readonly at: Instant;
  /** Renderings that it ran for before, newest first: a stamp that comes back to one does not run its old migration again. */
  readonly earlier?: readonly Digest[];
}

const mostEarlier = 200;

/** Whether it ran to its good end for this rendering, now or before. */
export function hasRunFor(done: JobRecord | undefined, stampDigest: Digest): boolean {
  return done !== undefined && (done.stampDigest === stampDigest || (done.earlier ?? []).includes(stampDigest));
}

/** The next record of a job that has run again. */
export function ranAgain(done: JobRecord | undefined, now: Omit<JobRecord, "earlier">): JobRecord {
  if (done === undefined) return now;
  const earlier = [done.stampDigest, ...(done.earlier ?? [])].filter((digest) => digest !== now.stampDigest);
  return { ...now, earlier: earlier.slice(0, mostEarlier) };
}

/** What a host must find again after it died. */
export interface HostState {
  token: FencingToken;
  applied?: { readonly stampDigest: Digest; readonly releaseDigest: Digest } | undefined;
  endpoints: readonly Endpoint[];
  endpointRevision: number;
  instances: Record<string, InstanceRecord>;
  jobs: Record<string, JobRecord>;
  /** Jobs that run right now. */
  strayJobs: Record<string, ProcessIdentity>;
  /** The stamp's own numeric user, if it has one. */
  uid?: number | undefined;
  /** Why services do not run as the stamp's user, if they do not. */
  sharedUser?: string | undefined;
}

/** A stamp host at work. */
export interface Host {
  readonly place: StampPlace;
  readonly ledger: Ledger;
  readonly state: HostState;
  readonly uid: number | undefined;
  goal: Goal | undefined;
  /** The last goal that it was whole with. */
  good: Goal | undefined;
  /** Work that has to wait for other work, by name. */
  readonly lanes: Map<string, Promise<unknown>>;
  /** Exit notes of processes that this host started, by pid. */
  readonly exits: Map<number, string>;
  /** Called when a child ends, to look at once instead of at the next tick. */
  onExit: () => void;
}

export function readState(place: StampPlace): HostState | undefined {
  return readJson<HostState>(place.stateFile);
}

export function emptyState(): HostState {
  return { token: 0, endpoints: [], endpointRevision: 0, instances: {}, jobs: {}, strayJobs: {} };
}

/** Saves at once: a process must be on record before anything else happens. @throws StampyardError DISK_FULL */
export function saveState(host: Host, durable = false): void {
  writeWhole(host.place.stateFile, JSON.stringify(host.state), { durable });
}

export function instanceKey(component: string, replica: number): string {
  return `${component}.${replica}`;
}

export function setStatus(record: InstanceRecord, status: ComponentStatus, reason?: string): void {
  if (record.status !== status) record.since = Date.now();
  record.status = status;
  record.reason = reason;
}
