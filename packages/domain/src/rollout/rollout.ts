import type { Digest, Instant } from "../ports.ts";
import type { Parameters } from "../rendered.ts";
import type { Capacity } from "../template.ts";
import type { GateReport } from "./evidence.ts";
import type { RolloutStrategy } from "./strategy.ts";

/**
 * A release on its way over the fleet. Strategy, members and what each member is to run are written down when it starts,
 * so what it does never depends on files or on a fleet that change meanwhile.
 */
export interface Rollout {
  /** `ro-…`. */
  readonly id: string;
  /** What it brings: the release that was asked for. Members may get one composed of it and of what they run (`components`). */
  readonly release: Digest;
  /** Parts of the stamp that it may change; empty = all. Two rollouts whose parts overlap never run at once (I34). */
  readonly components: readonly string[];
  readonly strategy: RolloutStrategy;
  readonly waves: readonly Wave[];
  readonly state: RolloutState;
  /** A security mend: passes before others, without canary bake and freeze windows; who asked for it gave a reason. */
  readonly hotfix: boolean;
  /** The rollout whose members this one takes back. */
  readonly undoes?: string;
  /** Released from a freeze, with the reason. */
  readonly overridesFreeze?: string;
  readonly reason?: string;
  readonly by: string;
  /** The fleet's revision that it makes true when it is done: pools and routing of that apply. */
  readonly fleetRevision?: number;
  /** What was spent so far, in milliseconds; the phase under way is not in it. */
  readonly spent: { readonly activeMs: number; readonly bakingMs: number; readonly waitingMs: number };
  /** Looks that have spent of the gate's alpha, over all waves. */
  readonly looks: number;
  /** Hooks that have been called: `<point>/<wave>/<name>`. */
  readonly hooksDone: readonly string[];
  /** The last report of the gate. */
  readonly gate?: GateReport;
  readonly waitingOn?: string;
}

export interface Wave {
  /** E.g. `canary`, `wave-2`, `late`. */
  readonly name: string;
  readonly bakeMs: number;
  readonly maxUnavailable: number;
  readonly approval: boolean;
  /** A person let it go on past its bake, its verdicts and its hooks. */
  readonly promoted?: boolean;
}

export type RolloutState =
  | { readonly kind: "queued"; readonly since: Instant }
  /** Members of this wave are updated. */
  | { readonly kind: "updating"; readonly wave: number; readonly since: Instant }
  /** All of them run it, and are watched. */
  | { readonly kind: "baking"; readonly wave: number; readonly since: Instant; readonly until: Instant }
  /** The wave before was good, and a person has to let this one begin. */
  | { readonly kind: "approval"; readonly wave: number; readonly since: Instant }
  /** Nothing new begins. It goes on where it was. */
  | {
      readonly kind: "paused";
      readonly since: Instant;
      readonly why: string;
      /** An actor, or `gate`. */
      readonly by: string;
      readonly was: Extract<RolloutState, { kind: "updating" | "baking" | "approval" }>;
    }
  /** Touched members go back to what they ran before. Nothing is stronger (I36). */
  | { readonly kind: "aborting"; readonly since: Instant; readonly cause: string; readonly by: string }
  | { readonly kind: "aborted"; readonly at: Instant; readonly cause: string; readonly by: string }
  | { readonly kind: "done"; readonly at: Instant }
  /** A newer one took its place, before it began or after a wave of it. Members that it reached keep what they got. */
  | { readonly kind: "superseded"; readonly at: Instant; readonly by: string };
export type RolloutPhase = RolloutState["kind"];

/** Where a rollout may go next. An end is an end: the same release again is another rollout. */
export const rolloutNext = {
  queued: ["updating", "approval", "aborted", "superseded"],
  updating: ["baking", "paused", "aborting"],
  baking: ["updating", "approval", "paused", "aborting", "done", "superseded"],
  approval: ["updating", "paused", "aborting", "superseded"],
  // Promoted, it goes on past what it was paused for.
  paused: ["updating", "baking", "approval", "aborting", "done", "superseded"],
  aborting: ["aborted"],
  aborted: [],
  done: [],
  superseded: [],
} as const satisfies Record<RolloutPhase, readonly RolloutPhase[]>;

export const endedRollouts: readonly RolloutPhase[] = ["aborted", "done", "superseded"];

/** A rollout of these phases keeps others of the same components waiting. */
export const runningRollouts: readonly RolloutPhase[] = ["updating", "baking", "approval", "paused", "aborting"];

/** Everything of a stamp that a rollout decides. */
export interface Aim {
  readonly release: Digest;
  readonly stampDigest: Digest;
  readonly parameters: Parameters;
  readonly capacity: Capacity;
  /** The rules of routing that hold for requests of its tenants. Absent = those that hold already. */
  readonly routing?: Digest;
}

export interface RolloutMember {
  readonly stamp: string;
  /** Index into `waves`. */
  readonly wave: number;
  /** Place inside its wave, from low to high traffic. */
  readonly place: number;
  readonly from: Aim;
  readonly to: Aim;
  readonly state: MemberState;
}

export type MemberState =
  | { readonly kind: "waiting" }
  /** It was told, and has not arrived. */
  | { readonly kind: "updating"; readonly since: Instant }
  /** Its digest was observed after the update began, with every component healthy. */
  | { readonly kind: "updated"; readonly since: Instant; readonly at: Instant }
  | { readonly kind: "failed"; readonly since: Instant; readonly at: Instant; readonly cause: string }
  | { readonly kind: "returning"; readonly since: Instant }
  | { readonly kind: "returned"; readonly at: Instant }
  /** It ran this already, is pinned, left the fleet, or was given up by a person. */
  | { readonly kind: "skipped"; readonly why: string };
export type MemberPhase = MemberState["kind"];

export const memberNext = {
  waiting: ["updating", "skipped"],
  updating: ["updated", "failed", "returning", "skipped"],
  updated: ["failed", "returning", "skipped"],
  failed: ["updating", "returning", "skipped"],
  returning: ["returned", "skipped"],
  returned: [],
  skipped: [],
} as const satisfies Record<MemberPhase, readonly MemberPhase[]>;

/** What a person may say to a rollout. The state is changed at once, so that nothing that is under way wins over it. */
export type RolloutCommand =
  | { readonly kind: "pause" }
  | { readonly kind: "resume" }
  /** Goes on past the bake or the verdict of this wave, or of all that follow. */
  | { readonly kind: "promote"; readonly full: boolean }
  | { readonly kind: "approve" }
  | { readonly kind: "abort" }
  /** Members that failed are tried again. */
  | { readonly kind: "retry" };
