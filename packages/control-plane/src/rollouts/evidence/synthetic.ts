import {
  type EvidenceBucket,
  type Instant,
  type RolloutMember,
  type Template,
  verifyTenantKey,
} from "@stampyard/domain";
import type { EvidenceMemory } from "./evidence-memory.ts";
import { mostUpdated, siblingsOf, updatedOf } from "./members.ts";
import type { EvidenceDeps, OpenRollout } from "./run-evidence.ts";
import { askAsTenant } from "./verify-tenant.ts";

/** Per stamp; more would be load, not evidence. */
const mostPerSecond = 10;
const mostStamps = { updated: 5, siblings: 3 } as const;
const answerWithinMs = 10_000;
/** Real requests are counted over so many of the last spans. */
const spansCounted = 12;
const planEveryMs = 5_000;

/** Requests a second of our own, by stamp. */
export type SyntheticRates = ReadonlyMap<string, number>;

interface Lacking {
  readonly stamps: readonly string[];
  readonly least: number;
}

/**
 * How many requests of ours each stamp gets while a wave bakes: what real ones leave undone of the least that a verdict
 * needs, in equal parts. Members and siblings alike, or the two could not be compared.
 */
export function planSynthetic(open: OpenRollout, buckets: readonly EvidenceBucket[], spanMs: number): SyntheticRates {
  const rates = new Map<string, number>();
  const { state } = open.rollout;
  if (state.kind !== "baking") return rates;
  const bakeMs = Math.max(spanMs, state.until - state.since);
  for (const { stamps, least } of sidesOf(open)) {
    const real = sumOfRates(buckets, new Set(stamps), spanMs);
    const missing = (least * 1_000) / bakeMs - real;
    if (missing <= 0) continue;
    for (const stamp of stamps) rates.set(stamp, Math.min(mostPerSecond, missing / stamps.length));
  }
  return rates;
}

function sidesOf({ rollout, members }: OpenRollout): readonly Lacking[] {
  const { state, strategy } = rollout;
  const { leastRequests } = strategy.gate.errors;
  const now = "wave" in state ? state.wave : -1;
  const arrived = updatedOf(members);
  const updated = arrived.filter(({ wave }) => wave === now).map(({ stamp }) => stamp);
  // Those of earlier waves stand beside the last one, which has no siblings any more.
  const earlier = arrived.filter(({ wave }) => wave < now).map(({ stamp }) => stamp);
  const beside = [...siblingsOf(rollout, members), ...earlier];
  return [
    { stamps: updated.slice(0, mostStamps.updated), least: leastRequests.updated },
    { stamps: beside.slice(0, mostStamps.siblings), least: leastRequests.siblings },
  ];
}

/** Real requests a second of all of them together. */
function sumOfRates(buckets: readonly EvidenceBucket[], stamps: ReadonlySet<string>, spanMs: number): number {
  const spans = [...new Set(buckets.filter(({ complete }) => complete).map(({ at }) => at))].sort((a, b) => b - a);
  const counted = new Set(spans.slice(0, spansCounted));
  if (counted.size === 0) return 0;
  let requests = 0;
  for (const { stamp, at, requests: all, synthetic } of buckets) {
    if (stamps.has(stamp) && counted.has(at)) requests += Math.max(0, all - synthetic);
  }
  return (requests * 1_000) / (counted.size * spanMs);
}

/** Works out anew now and then who lacks requests. */
export async function planAllSynthetic(
  { store, clock }: EvidenceDeps,
  memory: EvidenceMemory,
  open: readonly OpenRollout[],
): Promise<void> {
  const now = clock.now();
  const baking = open.filter(({ rollout }) => rollout.state.kind === "baking");
  if (baking.length > 0 && now - memory.synthetic.plannedAt < Math.min(planEveryMs, memory.spanMs * 2)) return;
  const rates = new Map<string, number>();
  for (const one of baking) {
    const stamps = sidesOf(one).flatMap((side) => side.stamps);
    const buckets = await store.evidence.buckets(stamps, now - (spansCounted + 4) * memory.spanMs);
    for (const [stamp, rate] of planSynthetic(one, buckets, memory.spanMs)) rates.set(stamp, rate);
  }
  memory.synthetic.plannedAt = now;
  memory.synthetic.rates = rates;
}

/** Sends what is due since the last time; nobody waits for the answers. */
export async function sendSynthetic(
  deps: EvidenceDeps,
  memory: EvidenceMemory,
  open: readonly OpenRollout[],
): Promise<void> {
  const now = deps.clock.now();
  const { synthetic } = memory;
  const seconds = Math.min(2, (now - synthetic.sentAt) / 1_000);
  synthetic.sentAt = now;
  for (const [stamp, rate] of synthetic.rates) {
    if (memory.presences.get(stamp)?.kind !== "open") continue;
    const due = (synthetic.due.get(stamp) ?? 0) + rate * seconds;
    synthetic.due.set(stamp, due - Math.floor(due));
    if (due < 1) continue;
    const paths = await pathsOf(deps, memory, stamp, open);
    for (let n = 0; n < Math.floor(due); n++) {
      synthetic.turn += 1;
      const path = paths[synthetic.turn % paths.length] ?? "/";
      void askAsTenant(memory, stamp, { path, timeoutMs: answerWithinMs }).then((answer) => {
        if (answer?.status !== undefined) memory.counter.noteSynthetic(stamp, deps.clock.now());
      });
    }
  }
}

/** What the template asks to be shown by, as far as it only reads. */
async function pathsOf(
  { store }: EvidenceDeps,
  { synthetic }: EvidenceMemory,
  stamp: string,
  open: readonly OpenRollout[],
): Promise<readonly string[]> {
  const found = open.flatMap(({ members }) => members.filter((member) => member.stamp === stamp).map(releaseOf));
  const [release] = found;
  if (release === undefined) return ["/"];
  const key = `${release} ${stamp}`;
  const known = synthetic.paths.get(key);
  if (known !== undefined) return known;
  const row = (await store.stamps.read(stamp))?.value;
  const steps = (await store.fleet.release(release))?.template.verify ?? [];
  const values = { "tenant.key": verifyTenantKey(stamp), "stamp.name": stamp, "stamp.region": row?.region ?? "" };
  const paths = readingPaths(steps, values);
  synthetic.paths.set(key, paths);
  return paths;
}

function releaseOf({ state, from, to }: RolloutMember) {
  return state.kind === "updated" || state.kind === "updating" ? to.release : from.release;
}

/** A step that needs what an earlier one made is no question that stands alone. */
export function readingPaths(
  steps: NonNullable<Template["verify"]>,
  values: Readonly<Record<string, string>>,
): readonly string[] {
  const paths = steps.flatMap(({ method, path }) => {
    if (method !== "GET") return [];
    const parts = path.map((part) => (typeof part === "string" ? part : values[`${part.of}.${part.field}`]));
    return parts.includes(undefined) ? [] : [parts.join("")];
  });
  return paths.length === 0 ? ["/"] : paths;
}

export interface SyntheticMemory {
  rates: SyntheticRates;
  plannedAt: Instant;
  sentAt: Instant;
  /** Parts of requests that are not sent yet. */
  readonly due: Map<string, number>;
  turn: number;
  readonly paths: Map<string, readonly string[]>;
}

/** Stamps that are to have our tenant: those with requests of ours, and updated ones whose gate probes them by HTTP. */
export function wantsPresence(memory: EvidenceMemory, open: readonly OpenRollout[]): ReadonlySet<string> {
  const wanted = new Set(memory.synthetic.rates.keys());
  for (const { rollout, members } of open) {
    const { state, strategy } = rollout;
    if (state.kind !== "baking" && state.kind !== "updating") continue;
    if (!strategy.gate.probes.some(({ kind }) => kind === "http")) continue;
    for (const { stamp } of updatedOf(members).slice(0, mostUpdated)) wanted.add(stamp);
  }
  return wanted;
}
