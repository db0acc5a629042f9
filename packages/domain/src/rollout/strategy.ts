import type { GateRule } from "./evidence.ts";

/** How a release goes over the fleet, as `fleet.yaml` says it, with every default filled in. */
export interface RolloutStrategy {
  /** The first wave. Absent = the first rule of `waves` is the first wave. */
  readonly canary?: CanaryRule;
  /** In order. Members that no rule takes go in a last wave of their own, so nobody is left behind unsaid. */
  readonly waves: readonly WaveRule[];
  /** Members of a wave that are updated at a time, unless the wave says otherwise. */
  readonly maxUnavailable: number;
  /** How long a wave is watched after its last member was updated, unless the wave says otherwise. Milliseconds. */
  readonly bakeMs: number;
  /** A member that has not arrived so long after its update began has failed. Milliseconds. */
  readonly updateWithinMs: number;
  /** Dedicated stamps, and stamps with pinned tenants, go after all others. */
  readonly lateRing: boolean;
  readonly gate: GateRule;
  /** Called at named points, each once per rollout and wave. */
  readonly hooks: readonly RolloutHook[];
  /** What happens when a gate says abort: touched members go back, or the rollout pauses with everything as it is. */
  readonly onAbort: "rollback" | "pause";
  /**
   * What a rollout does that is asked for while another one of the same components is under way: it waits its turn; it
   * waits, and a still newer one takes its place (`batch`); or the running one ends after its present wave and the newer
   * one begins (`supersede`). A wave that has begun always finishes.
   */
  readonly onNewer: "queue" | "batch" | "supersede";
}

export interface CanaryRule {
  /** This one and no other. Absent = the eligible stamp with the least traffic that has enough of it to be judged. */
  readonly stamp?: string;
  /** Requests per minute from which on there is enough. */
  readonly leastPerMinute: number;
  readonly bakeMs?: number;
  readonly approval?: boolean;
}

/** Who is in a wave: so many, a share of all members, those with these labels, or all that are left. */
export type WaveSize =
  | { readonly kind: "count"; readonly count: number }
  /** Of all members of the rollout, rounded up: 0 < percent ≤ 100. */
  | { readonly kind: "percent"; readonly percent: number }
  | { readonly kind: "labels"; readonly labels: MemberLabelRule; readonly count?: number }
  | { readonly kind: "rest" };

/** Every label that is named must be one of these. */
export interface MemberLabelRule {
  readonly region?: readonly string[];
  readonly pool?: readonly string[];
  readonly tier?: readonly string[];
  /** `ring` of the pool. */
  readonly ring?: readonly string[];
}

export interface WaveRule {
  readonly name?: string;
  readonly size: WaveSize;
  readonly bakeMs?: number;
  readonly maxUnavailable?: number;
  /** A person has to let it begin. */
  readonly approval?: boolean;
}

export const rolloutHookPoints = ["before-rollout", "before-wave", "after-wave", "after-rollout", "on-abort"] as const;
export type RolloutHookPoint = (typeof rolloutHookPoints)[number];

/** Asked at a point, and again until it answers or its time is over. It hears rollout, wave, release and stamps as JSON. */
export interface RolloutHook {
  readonly name: string;
  readonly point: RolloutHookPoint;
  readonly call:
    | { readonly kind: "http"; readonly url: string }
    /** argv; the JSON comes on standard input. */
    | { readonly kind: "command"; readonly command: readonly string[] };
  readonly timeoutMs: number;
  readonly onFailure: "abort" | "pause" | "ignore";
}

/** What a strategy may ask for. */
export const strategyBounds = {
  waves: { least: 0, most: 50 },
  maxUnavailable: { least: 1, most: 100 },
  /** 14 days. */
  bakeMs: { least: 0, most: 1_209_600_000 },
  /** 10 seconds to a day. */
  updateWithinMs: { least: 10_000, most: 86_400_000 },
} as const;
