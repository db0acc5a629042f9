import { StampyardError } from "../errors.ts";
import { quote } from "../names.ts";
import { chooseCanary } from "./choose-canary.ts";
import type { RolloutMember, Wave } from "./rollout.ts";
import { byName, byTraffic, type ChosenCanary, type RolloutCandidate } from "./rollout-candidate.ts";
import { sameAim } from "./same-aim.ts";
import type { MemberLabelRule, RolloutStrategy, WaveRule, WaveSize } from "./strategy.ts";

export interface WavesInput {
  readonly strategy: RolloutStrategy;
  readonly candidates: readonly RolloutCandidate[];
  /** Its first wave does not bake. */
  readonly hotfix: boolean;
}

export interface PlannedWaves {
  readonly waves: readonly Wave[];
  /** By wave and place; those that are skipped are in the first wave, after the others. */
  readonly members: readonly RolloutMember[];
  /** Absent without a canary rule, or when nothing is to do. */
  readonly canary?: ChosenCanary;
  /** What an operator should know of it: rules that take nobody, members that no rule names. */
  readonly notes: readonly string[];
}

export const alreadyThere = "it runs this already";

/**
 * Who gets a release when: the canary, the waves of the strategy in order, whoever no rule names, and the late ring.
 * Pure and repeatable: ties are broken by name.
 *
 * @throws StampyardError STAMP_NOT_FOUND for a canary that is named and not there
 */
export function planWaves({ strategy, candidates, hotfix }: WavesInput): PlannedWaves {
  const skipped: RolloutMember[] = [];
  const there: RolloutCandidate[] = [];
  for (const candidate of [...candidates].sort(byName)) {
    const why = candidate.skip ?? (sameAim(candidate.from, candidate.to) ? alreadyThere : undefined);
    if (why === undefined) there.push(candidate);
    else skipped.push(memberOf(candidate, 0, skipped.length, why));
  }
  const canary = canaryOf(strategy, candidates, there);
  const isLate = (one: RolloutCandidate) => strategy.lateRing && (one.isDedicated || one.hasPinnedTenants);
  const notes: string[] = [];
  const drafts: Draft[] = [];
  if (canary !== undefined) {
    const { bakeMs, approval } = strategy.canary ?? {};
    const members = there.filter(({ stamp }) => stamp === canary.stamp);
    drafts.push({ rule: { name: "canary", ...given({ bakeMs, approval }) }, members });
  }
  let left = there.filter((one) => !isLate(one) && one.stamp !== canary?.stamp);
  for (const rule of strategy.waves) {
    const members = taken(rule.size, left, there.length);
    if (members.length === 0 && there.length > 0) notes.push(`${ruleName(rule)} takes nobody`);
    const gone = new Set(members);
    left = left.filter((one) => !gone.has(one));
    drafts.push({ rule, members });
  }
  if (left.length > 0) {
    if (strategy.waves.length > 0) notes.push(`no rule takes ${left.length}, which go in a wave of their own`);
    drafts.push({ rule: { name: "rest" }, members: left });
  }
  drafts.push({ rule: { name: "late" }, members: there.filter((one) => isLate(one) && one.stamp !== canary?.stamp) });
  const { waves, members } = written(strategy, drafts, hotfix);
  const sorted = [...members, ...skipped].sort((a, b) => a.wave - b.wave);
  const places = skipped.length === 0 ? sorted : numbered(sorted);
  return { waves, members: places, notes, ...(canary === undefined ? {} : { canary }) };
}

interface Draft {
  readonly rule: Omit<WaveRule, "size">;
  readonly members: readonly RolloutCandidate[];
}

/** Waves without members are not written down. */
function written(
  strategy: RolloutStrategy,
  drafts: readonly Draft[],
  hotfix: boolean,
): { readonly waves: readonly Wave[]; readonly members: readonly RolloutMember[] } {
  const used = drafts.filter(({ members }) => members.length > 0);
  const waves = used.map(({ rule }, index): Wave => {
    return {
      name: rule.name ?? `wave-${index + 1}`,
      bakeMs: hotfix && index === 0 ? 0 : (rule.bakeMs ?? strategy.bakeMs),
      maxUnavailable: rule.maxUnavailable ?? strategy.maxUnavailable,
      approval: rule.approval ?? false,
    };
  });
  const members = used.flatMap(({ members: some }, wave) => {
    return [...some].sort(byTraffic).map((one, place) => memberOf(one, wave, place));
  });
  return { waves, members };
}

function memberOf({ stamp, from, to }: RolloutCandidate, wave: number, place: number, why?: string): RolloutMember {
  return { stamp, wave, place, from, to, state: why === undefined ? { kind: "waiting" } : { kind: "skipped", why } };
}

/** Those that are skipped stand after the others of their wave. */
function numbered(members: readonly RolloutMember[]): readonly RolloutMember[] {
  const next = new Map<number, number>();
  return members.map((member) => {
    const place = next.get(member.wave) ?? 0;
    next.set(member.wave, place + 1);
    return { ...member, place };
  });
}

function canaryOf(
  { canary, lateRing }: RolloutStrategy,
  candidates: readonly RolloutCandidate[],
  there: readonly RolloutCandidate[],
): ChosenCanary | undefined {
  if (canary === undefined || there.length === 0) return undefined;
  const { stamp } = canary;
  const named = candidates.find((one) => one.stamp === stamp);
  if (stamp !== undefined && named === undefined) {
    throw new StampyardError("STAMP_NOT_FOUND", `There is no stamp ${quote(stamp)} to be the canary`, {
      mend: "Name another one in rollout.canary.stamp, or leave it out to have it chosen from measured traffic.",
    });
  }
  return chooseCanary(canary, there, lateRing, named);
}

function taken(size: WaveSize, left: readonly RolloutCandidate[], all: number): readonly RolloutCandidate[] {
  switch (size.kind) {
    case "count":
      return acrossRegions(left).slice(0, size.count);
    case "percent":
      // A product such as 3 × 1.1 is a little more than it should be, and must not be one stamp more.
      return acrossRegions(left).slice(0, Math.ceil((all * size.percent) / 100 - 1e-9));
    case "labels":
      return acrossRegions(left.filter((one) => hasLabels(one, size.labels))).slice(0, size.count ?? left.length);
    case "rest":
      return left;
  }
}

/**
 * The order in which a wave takes its members: as large a share of one region as of another, so that none bears a wave
 * alone, and the least traffic of each region first.
 */
function acrossRegions(candidates: readonly RolloutCandidate[]): readonly RolloutCandidate[] {
  const regions = new Map<string, RolloutCandidate[]>();
  for (const one of [...candidates].sort(byTraffic)) {
    const list = regions.get(one.region);
    if (list === undefined) regions.set(one.region, [one]);
    else list.push(one);
  }
  return [...regions.values()]
    .flatMap((list) => list.map((one, index) => ({ one, share: (index + 0.5) / list.length })))
    .sort((a, b) => a.share - b.share || byTraffic(a.one, b.one))
    .map(({ one }) => one);
}

function hasLabels(one: RolloutCandidate, { region, pool, tier, ring }: MemberLabelRule): boolean {
  return (
    (region?.includes(one.region) ?? true) &&
    (pool?.includes(one.pool) ?? true) &&
    (tier?.some((name) => one.tiers.includes(name)) ?? true) &&
    (ring === undefined || (one.ring !== undefined && ring.includes(one.ring)))
  );
}

function ruleName({ name, size }: WaveRule): string {
  return name === undefined ? `a wave by ${size.kind}` : `wave ${name}`;
}

function given(rule: { readonly bakeMs: number | undefined; readonly approval: boolean | undefined }) {
  return {
    ...(rule.bakeMs === undefined ? {} : { bakeMs: rule.bakeMs }),
    ...(rule.approval === undefined ? {} : { approval: rule.approval }),
  };
}
