import type { Instant } from "../ports.ts";

/** When a wave may go on (decision D20). What is not measured is never good (I35). */
export interface GateRule {
  /** False: its verdicts are reported, and neither abort nor pause anything. @default true */
  readonly enforced: boolean;
  readonly errors: ErrorRule;
  readonly latency: LatencyRule;
  /** Absolute: any updated member above it aborts, whatever its siblings do. Share of requests, 0 to 1. */
  readonly mostErrors: number;
  /** One tenant of a member that newly fails: at least so many requests, and this share of them. */
  readonly tenant: { readonly leastRequests: number; readonly errorShare: number };
  /** Restarts of one component of a member since its update began that are still borne. */
  readonly mostRestarts: number;
  /** Messages or jobs waiting in a member beside its own baseline; absent = not watched. */
  readonly queueLag?: { readonly most: number };
  /** Asked of every updated member, over and over while it bakes. */
  readonly probes: readonly GateProbe[];
  readonly queries: readonly GateQuery[];
  /** Chance that a rollout without any difference is aborted by its statistics, over all of its looks. */
  readonly alpha: number;
  /** How long after its bake a wave may wait for data that is late or too little, before the rollout pauses. Milliseconds. */
  readonly waitMs: number;
}

export interface ErrorRule {
  /** An increase of the error share beside concurrent siblings that is worth an abort, e.g. 0.01 = one point. */
  readonly worse: number;
  /** Requests of updated members and of siblings that a verdict needs. */
  readonly leastRequests: { readonly updated: number; readonly siblings: number };
}

export interface LatencyRule {
  /** Added milliseconds at the 90th percentile that are worth an abort. @default 300 */
  readonly worseMs: number;
}

export type GateProbe =
  | {
      readonly kind: "http";
      readonly name: string;
      /** Through a router as the stamp's own verification tenant, or at the stamp's ingress. */
      readonly path: string;
      readonly status: number;
      readonly timeoutMs: number;
    }
  | {
      readonly kind: "command";
      readonly name: string;
      /** argv; gets STAMP, RELEASE and ENDPOINT in its environment. 0 = good, 75 (EX_TEMPFAIL) = cannot say. */
      readonly command: readonly string[];
      readonly timeoutMs: number;
    };

/** Prometheus: the answer must be one number or empty; `${stamp}` in it becomes the member. Empty = no data. */
export interface GateQuery {
  readonly name: string;
  readonly url: string;
  readonly query: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** What was counted of one stamp in one span of time, by all routers together. */
export interface EvidenceBucket {
  readonly stamp: string;
  /** Begin of the span; spans of a rollout are aligned and equally long. */
  readonly at: Instant;
  readonly ms: number;
  /** False while some live router has not told of this span: it counts as missing, not as quiet. */
  readonly complete: boolean;
  readonly requests: number;
  /** Answers of 500 and above, and connections that the stamp refused or cut. */
  readonly errors: number;
  /** Requests by `latencyBounds`, one more than there are bounds. */
  readonly latency: readonly number[];
  /** Requests of Stampyard's own among them, where traffic is thin. */
  readonly synthetic: number;
}

/** Upper bounds in milliseconds, as the routers count; the last count is everything above. */
export const latencyBounds: readonly number[] = [
  0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000, 15_000,
];

/** What is seen of one updated member beside its requests. */
export interface MemberSignals {
  readonly stamp: string;
  /** When it was looked at; older than `signalsFreshMs` counts as missing. */
  readonly at: Instant;
  /** Components that are not healthy, in words; undefined = it cannot be looked at. */
  readonly sick: readonly string[] | undefined;
  /** Since when one of them has not been healthy; a short lapse is waited out (`sickGraceMs`). Absent = long enough. */
  readonly sickSince?: Instant;
  /** Restarts of components since the update of this member began, the highest. */
  readonly restarts: number;
  readonly failedJobs: readonly string[];
  /** Now, and before its update began. */
  readonly queueLag?: { readonly now: number; readonly before: number };
  readonly failingTenants: readonly FailingTenant[];
  readonly probes: readonly SignalResult[];
  readonly queries: readonly SignalResult[];
}

export interface FailingTenant {
  readonly tenant: string;
  readonly requests: number;
  readonly errors: number;
  /** It failed like that before the update began, or siblings have as many that newly fail: not for the update to answer. */
  readonly wasFailing: boolean;
}

export interface SignalResult {
  readonly name: string;
  /** False once it failed twice in a row; undefined = no answer, or none that says anything. */
  readonly ok: boolean | undefined;
  readonly text: string;
}

export interface UpdatedMember {
  readonly stamp: string;
  readonly begunAt: Instant;
  readonly updatedAt: Instant;
  /**
   * The wave it belongs to. Requests are compared for members of the last one; those of earlier waves, which have not
   * changed meanwhile, stand beside the siblings, so that the last wave of all has something to be compared with.
   */
  readonly wave: number;
}

/** Everything that a gate judges by, at one time. */
export interface Evidence {
  readonly now: Instant;
  readonly bucketMs: number;
  /**
   * Whole time that the wave under way is to be watched, its bake. Where spans are missing, as much of others makes up for
   * them. Absent = all that has passed since the update is wanted.
   */
  readonly watchMs?: number;
  /** When each updated member's update was complete. Its buckets from then on are judged, those before its update are its baseline. */
  readonly updated: readonly UpdatedMember[];
  /** Stamps that have run the old release all the while. */
  readonly siblings: readonly string[];
  /** Of all of these, as far back as there are any: what was usual is read from them. A quiet span has a bucket of 0 requests. */
  readonly buckets: readonly EvidenceBucket[];
  readonly signals: readonly MemberSignals[];
  /** Which look this is of how many that are declared for the whole rollout: each may spend its part of alpha. */
  readonly look: { readonly index: number; readonly of: number };
  /** Whether the comparison may abort now, and spends of alpha (`GateReport.tookLook`); guards judge at every time. */
  readonly isLook: boolean;
  /** Seed of the permutations: the rollout's id and wave, so that a repeat says the same. */
  readonly seed: string;
}

export const signalsFreshMs = 30_000;

/** How long a component of an updated member may be unhealthy before that is a reason to go back. */
export const sickGraceMs = 10_000;

export type GateVerdict = "go" | "abort" | "inconclusive";

export interface GateCheck {
  /** E.g. `errors`, `latency`, `health`, `restarts`, `tenant`, `queue`, `probe/home`, `query/rate`. */
  readonly name: string;
  readonly verdict: GateVerdict;
  /** One sentence with its figures. */
  readonly text: string;
}

export interface GateReport {
  readonly at: Instant;
  /** The worst of its checks: abort before inconclusive before go. */
  readonly verdict: GateVerdict;
  readonly checks: readonly GateCheck[];
  /** Its statistics judged at a look, and a part of alpha is spent. A look that found too little spends nothing. */
  readonly tookLook: boolean;
  /** Of an inconclusive one: when enough will be there at the present traffic, milliseconds from now. */
  readonly enoughInMs?: number;
}
