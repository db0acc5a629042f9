import {
  behindWhom,
  type Clock,
  type FrozenWhy,
  type Instant,
  isServing,
  type Stamp,
  type Wave,
  whyFrozen,
} from "@stampyard/domain";
import { readFreezes } from "../freezes/freezes.ts";
import type { Store } from "../store/port.ts";
import { type AskedPlan, planAsked, type RolloutAsked, type StartDeps } from "./start-rollout.ts";

export interface PreviewDeps extends Omit<StartDeps, "store"> {
  readonly store: StartDeps["store"] & Pick<Store, "freezes" | "moves">;
  readonly clock: Pick<Clock, "now">;
}

/** What a rollout would be, beside its plan: what stands in its way, and what it costs. */
export interface RolloutPreview {
  readonly plan: AskedPlan;
  /** Why something of it could not begin now, each reason once. */
  readonly frozen: readonly string[];
  /** Moves whose way back it closes, if the release changes the schema. */
  readonly waysBack: readonly string[];
  /** Milliseconds from its begin to its end when nothing stands in its way; absent when a person has to approve a wave. */
  readonly takesMs?: number;
  /** Id of the rollout that it would wait for. */
  readonly behind?: string;
  readonly notes: readonly string[];
}

/** The same as a start would do, and nothing is written. @throws StampyardError as `startRollout` but WRONG_PHASE */
export async function previewRollout(deps: PreviewDeps, asked: RolloutAsked): Promise<RolloutPreview> {
  const { store, clock } = deps;
  const plan = await planAsked(deps, asked);
  const moving = new Set(
    plan.planned.members.filter(({ state }) => state.kind === "waiting").map(({ stamp }) => stamp),
  );
  const [rows, open] = await Promise.all([store.stamps.all(), openRollouts(store)]);
  const stamps = rows.map(({ value }) => value).filter(({ name }) => moving.has(name));
  const [frozen, waysBack] = await Promise.all([
    frozenMembers(deps, plan, stamps, clock.now()),
    waysBackOf(store, moving),
  ]);
  const behind = behindWhom({ id: "" }, [...open, asIfQueued(plan, clock.now())]);
  const takesMs = timeOf(plan);
  return {
    plan,
    frozen,
    waysBack,
    ...(takesMs === undefined ? {} : { takesMs }),
    ...(behind === undefined ? {} : { behind }),
    notes: [...plan.planned.notes, ...notesOf(plan, stamps)],
  };
}

async function openRollouts({ rollouts }: Pick<Store, "rollouts">) {
  const rows = await Promise.all((await rollouts.open()).map((id) => rollouts.read(id)));
  return rows.flatMap((row) => (row === undefined ? [] : [row.value]));
}

function asIfQueued({ input }: AskedPlan, now: Instant) {
  const { hotfix, undoes } = input;
  const state = { kind: "queued", since: now } as const;
  return { id: "", state, hotfix, ...(undoes === undefined ? {} : { undoes }) };
}

async function frozenMembers(
  { store }: PreviewDeps,
  { input }: AskedPlan,
  stamps: readonly Stamp[],
  now: Instant,
): Promise<readonly string[]> {
  if (input.overridesFreeze !== undefined) return [];
  const { freezes, windows } = await readFreezes(store);
  const inForce = { freezes, windows: input.hotfix ? [] : windows };
  const whys = new Map<string, string[]>();
  for (const { name, pool, region } of stamps) {
    const frozen = whyFrozen(inForce, "rollouts", { stamp: name, pool, region }, now);
    if (frozen === undefined) continue;
    const why = sentence(frozen);
    whys.set(why, [...(whys.get(why) ?? []), name]);
  }
  return [...whys].map(([why, names]) => (names.length === stamps.length ? why : `${names.join(", ")}: ${why}`));
}

function sentence({ why, until }: FrozenWhy): string {
  return until === undefined ? why : `${why}, until ${new Date(until).toISOString()}`;
}

/** The copy that a move left behind can only be gone back to while both sides have the same tables. */
async function waysBackOf({ moves }: Pick<Store, "moves">, members: ReadonlySet<string>): Promise<readonly string[]> {
  const found: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await moves.list({ phase: "resting", ...(cursor === undefined ? {} : { cursor }) });
    for (const { value: move } of page.items) {
      if (!members.has(move.from) && !members.has(move.to)) continue;
      found.push(`move ${move.id} of tenant ${move.tenant}, from ${move.from} to ${move.to}`);
    }
    cursor = page.nextCursor;
    if (cursor === undefined) return found;
  }
}

/** What the update of one stamp takes, as long as nothing better is known. */
const updateMs = 15_000;

function timeOf({ planned }: AskedPlan): number | undefined {
  if (planned.waves.some((wave) => wave.approval)) return undefined;
  return planned.waves.reduce((sum, wave, index) => sum + waveMs(wave, membersOf(planned, index)), 0);
}

function membersOf({ members }: AskedPlan["planned"], wave: number): number {
  return members.filter((member) => member.wave === wave && member.state.kind === "waiting").length;
}

function waveMs({ maxUnavailable, bakeMs }: Wave, members: number): number {
  return Math.ceil(members / maxUnavailable) * updateMs + bakeMs;
}

function notesOf({ planned, input }: AskedPlan, stamps: readonly Stamp[]): readonly string[] {
  const waiting = planned.members.filter(({ state }) => state.kind === "waiting").length;
  const building = stamps.filter(({ state }) => !isServing(state.kind)).map(({ name }) => name);
  return [
    ...(waiting === 0 ? ["nothing would change"] : []),
    ...(building.length === 0 ? [] : [`not in service yet: ${building.join(", ")}`]),
    ...(input.strategy.gate.enforced ? [] : ["its gate only reports"]),
    ...(planned.canary === undefined || planned.canary.isEnough
      ? []
      : [`the canary has too little traffic to be judged`]),
  ];
}
