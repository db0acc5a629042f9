import type { Aim, Clock, EvidenceBucket, Fleet, RolloutCandidate, Stamp } from "@stampyard/domain";
import type { Pin, Store } from "../store/port.ts";
import { poolOf } from "./aims.ts";

export interface CandidateDeps {
  readonly store: Pick<Store, "pins" | "evidence" | "loads">;
  readonly clock: Pick<Clock, "now">;
}

export interface CandidateStamp {
  readonly stamp: Stamp;
  readonly from: Aim;
  readonly to: Aim;
  /** Why it takes no part. */
  readonly skip?: string;
}

/** Long enough to even out a minute, short enough to be about now. */
const trafficMs = 15 * 60_000;
/** Less than this says nothing. */
const leastMeasuredMs = 30_000;

/** What the planner has to know of each stamp: its labels, its pins, and its traffic as routers measured it. */
export async function gatherCandidates(
  { store, clock }: CandidateDeps,
  stamps: readonly CandidateStamp[],
  fleet: Fleet,
): Promise<readonly RolloutCandidate[]> {
  const names = stamps.map(({ stamp }) => stamp.name);
  const now = clock.now();
  const [pins, buckets, loads] = await Promise.all([
    store.pins.byStamp(),
    store.evidence.buckets(names, now - trafficMs),
    store.loads.list(),
  ]);
  const rates = new Map(loads.flatMap(({ stamp, p95: { rps } }) => (rps === undefined ? [] : [[stamp, rps * 60]])));
  const measured = new Map([...rates, ...perMinuteOf(buckets)]);
  return stamps.map(({ stamp, from, to, skip }): RolloutCandidate => {
    const pool = poolOf(fleet, stamp);
    const mine = pins.get(stamp.name) ?? [];
    const why = skip ?? whyPinned(mine, to);
    return {
      stamp: stamp.name,
      region: stamp.region,
      pool: stamp.pool,
      tiers: pool?.tiers ?? [],
      ...(pool?.ring === undefined ? {} : { ring: pool.ring }),
      perMinute: measured.get(stamp.name),
      isDedicated: pool?.tenancy === "dedicated",
      hasPinnedTenants: mine.some(({ subject }) => subject.kind === "tenant"),
      ...(why === undefined ? {} : { skip: why }),
      from,
      to,
    };
  });
}

/** Requests per minute of those that were measured for long enough. */
function perMinuteOf(buckets: readonly EvidenceBucket[]): ReadonlyMap<string, number> {
  const sums = new Map<string, { ms: number; requests: number }>();
  for (const { stamp, ms, requests, synthetic, complete } of buckets) {
    if (!complete) continue;
    const sum = sums.get(stamp) ?? { ms: 0, requests: 0 };
    sums.set(stamp, { ms: sum.ms + ms, requests: sum.requests + requests - synthetic });
  }
  const enough = [...sums].filter(([, { ms }]) => ms >= leastMeasuredMs);
  return new Map(enough.map(([stamp, { ms, requests }]) => [stamp, (requests * 60_000) / ms]));
}

/** A stamp's own pin keeps it out; that of a tenant puts it into the late ring, and may be over by then. */
function whyPinned(pins: readonly Pin[], to: Aim): string | undefined {
  const pin = pins.find(({ subject, release }) => subject.kind === "stamp" && release !== to.release);
  return pin === undefined ? undefined : `it is pinned until ${new Date(pin.until).toISOString()}: ${pin.reason}`;
}
