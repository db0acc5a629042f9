import type { Digest, FencingToken, Instant } from "./ports.ts";
import type { RenderedStamp } from "./rendered.ts";

/**
 * What a stamp needs beside its rendering. Secrets are made by the control plane, sealed in its store, and given to the
 * engine for each call; an engine keeps them only where its processes must read them (0600).
 */
export interface StampSpec {
  readonly rendered: RenderedStamp;
  /** Directory that `workdir` and relative commands start from. */
  readonly sourceDir: string;
  /** name → value, names as `secretNames(rendered)` lists them, e.g. `db.ownerPassword`. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Value of `${route.keys}`: what guard's `parseRouteKeys` reads. */
  readonly routeKeys: string;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export type ComponentStatus = "absent" | "starting" | "healthy" | "unhealthy" | "stopped" | "done" | "failed";

export interface ComponentObservation {
  readonly name: string;
  /** 0-based; jobs and stores have one. */
  readonly replica: number;
  readonly status: ComponentStatus;
  readonly pid?: number;
  readonly restarts: number;
  /** Why it is not healthy, in words. */
  readonly reason?: string;
  readonly since: Instant;
}

/** What is there now, as the engine sees it. `unknown` = could not look, which is not the same as absent. */
export interface StampObservation {
  readonly stamp: string;
  readonly presence: "absent" | "present" | "unknown";
  /** The digest that the running stamp was applied from; undefined while nothing was completely applied. */
  readonly stampDigest?: Digest;
  readonly releaseDigest?: Digest;
  readonly host: "up" | "down" | "none";
  readonly components: readonly ComponentObservation[];
  /** Where the router finds the ingress service: one per replica. */
  readonly endpoints: readonly Endpoint[];
  /** Rises when an endpoint changes. */
  readonly endpointRevision: number;
  readonly reason?: string;
}

export interface EngineChange {
  readonly component: string;
  readonly change: "create" | "update" | "remove" | "start";
  readonly why: string;
}

export interface ProgressEvent {
  readonly stamp: string;
  readonly component?: string;
  /** Stage of work, e.g. `clone`, `start`, `migrate`, `healthy`. */
  readonly step: string;
  readonly state: "begin" | "end" | "fail";
  readonly ms?: number;
  readonly detail?: string;
}

export type Progress = (event: ProgressEvent) => void;

export interface CallOptions {
  readonly token: FencingToken;
  readonly progress?: Progress;
  readonly signal: AbortSignal;
}

export interface LogOptions {
  readonly component?: string;
  /** Last N lines per component. @default 100 */
  readonly tail?: number;
  readonly follow?: boolean;
  readonly signal: AbortSignal;
}

export interface LogLine {
  readonly component: string;
  readonly replica: number;
  readonly text: string;
}

/** Says how well a limit or a wall holds on this machine. */
export interface IsolationFact {
  readonly what: "uid" | "memory" | "cpu" | "pids";
  readonly level: "enforced" | "advisory";
  readonly why: string;
}

/** One thing that a running stamp has on its machine, so that two stamps can be compared. Never a secret. */
export interface EngineFact {
  readonly kind: "database" | "directory" | "uid" | "process" | "port";
  readonly component: string;
  /** The same for two stamps only if they share the thing. */
  readonly identity: string;
  /** For people. */
  readonly shown: string;
  /** Why the machine does not keep it apart, where it does not. */
  readonly advisory?: string;
}

/**
 * The engine contract (decision D1). Every call is idempotent, resumable after a crash at any line, and cancellable by
 * its signal. A call with a lower fencing token than the stamp has seen is refused with STALE_LEADER (I28).
 */
export interface StampEngine {
  readonly kind: "local" | "kubernetes" | "command";
  /** What `apply` would do now. Changes nothing. */
  plan(spec: StampSpec, signal: AbortSignal): Promise<readonly EngineChange[]>;
  /** Makes the stamp equal to the spec and waits until every component is healthy, or throws STAMP_FAILED. */
  apply(spec: StampSpec, options: CallOptions): Promise<StampObservation>;
  /** Brings one component to the spec (rollouts use it); others keep what they run. */
  update(spec: StampSpec, component: string, options: CallOptions): Promise<StampObservation>;
  observe(stamp: string, signal: AbortSignal): Promise<StampObservation>;
  /** Runs a job component once with extra environment, to its end. @throws HOOK_FAILED */
  run(spec: StampSpec, job: string, env: Readonly<Record<string, string>>, options: CallOptions): Promise<void>;
  logs(stamp: string, options: LogOptions): AsyncIterable<LogLine>;
  /** Removes processes, ports, directory and limits. Repeating it on an absent stamp is fine. */
  destroy(stamp: string, options: CallOptions): Promise<void>;
  /** Connection URL of a stamp's database for the control plane (mover role, D4); undefined if there is none. */
  operatorUrl(spec: StampSpec, component: string, signal: AbortSignal): Promise<string | undefined>;
  /**
   * URL of a role that may change tables of the application and act as `stampyard` there, to install the fence; undefined
   * where the engine has none.
   */
  adminUrl?(spec: StampSpec, component: string, signal: AbortSignal): Promise<string | undefined>;
  /**
   * Bytes that a component of a stamp may still write where its data lies; undefined where the engine cannot tell, or it
   * is not there.
   */
  freeBytes?(stamp: string, component: string, signal: AbortSignal): Promise<number | undefined>;
  /** What a stamp really has, from the machine and not from its description; nothing for a stamp that is not there. */
  facts?(stamp: string, signal: AbortSignal): Promise<readonly EngineFact[]>;
  /** What the machine lets us enforce. */
  isolation(): Promise<readonly IsolationFact[]>;
}
