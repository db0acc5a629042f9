import { addFailing, noteTenant, type TenantWindow } from "./failing-tenants.ts";

/** Upper bounds in milliseconds; the last bucket is everything above. */
export const bucketBounds: readonly number[] = [
  0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000, 15_000,
];

export interface RequestOutcome {
  /** undefined when no stamp was chosen. */
  readonly stamp: string | undefined;
  /** Counted by name only where that is configured. */
  readonly tenant?: string | undefined;
  /** 0 = the client left before it had an answer. */
  readonly status: number;
  /** Why the router answered by itself. */
  readonly reason: string | undefined;
  readonly ms: number;
  /** The stamp broke its answer off after it had begun. @default false */
  readonly cut?: boolean;
  /** Rules on trial at this stamp gave its request to nobody, or to somebody else. @default false */
  readonly isLost?: boolean;
}

/** Beside the reason of the answer: rules on trial took it from the stamp that the fleet's rules give it to. */
export const lostByTrial = "lost-by-trial";

export interface StampCounts {
  requests: number;
  /** Answers of 500 and above, the router's own included. */
  errors: number;
  /** What speaks against the stamp: errors but those of a hold, answers that it broke off, and requests lost by a trial. */
  faults: number;
  /** Tenants that failed lately, bounded. */
  readonly failing: Map<string, TenantWindow>;
  /** 1xx to 5xx. */
  readonly statuses: number[];
  /** One per bound, and one for everything above. */
  readonly buckets: number[];
  sumMs: number;
}

export interface TenantCounts {
  requests: number;
  errors: number;
}

/** Everything that was counted, as plain data: it travels between processes and is added up. */
export interface Counts {
  readonly stamps: Map<string, StampCounts>;
  readonly refusals: Map<string, number>;
  /** Things that are counted by name, then by kind. */
  readonly named: Map<string, Map<string, number>>;
  readonly tenants: Map<string, TenantCounts>;
}

export interface Metrics {
  record(outcome: RequestOutcome): void;
  /** Things that are counted by name, e.g. refused snapshots. Names are ours and few. */
  count(name: string, kind: string): void;
  /** As they are now; not a copy. */
  counts(): Counts;
}

/** What tenants above the limit are counted as; no tenant can have this name. */
export const otherTenants = "(others)";

/**
 * Counts in memory; bounded by the number of stamps and of reasons.
 * @param maxTenants so many tenants are counted by name, the others together. 0 = none
 */
export function createMetrics(maxTenants = 0, now: () => number = Date.now): Metrics {
  const counts = noCounts();
  const { stamps, refusals, named, tenants } = counts;
  return {
    record({ stamp, tenant, status, reason, ms, cut, isLost }) {
      if (reason !== undefined) refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
      if (stamp === undefined) return;
      let counted = stamps.get(stamp);
      if (counted === undefined) {
        counted = noRequests();
        stamps.set(stamp, counted);
      }
      counted.requests += 1;
      if (status >= 500) counted.errors += 1;
      const group = Math.floor(status / 100) - 1;
      if (group >= 0 && group < 5) counted.statuses[group] = (counted.statuses[group] ?? 0) + 1;
      let bucket = 0;
      while (bucket < bucketBounds.length && ms > (bucketBounds[bucket] ?? 0)) bucket += 1;
      counted.buckets[bucket] = (counted.buckets[bucket] ?? 0) + 1;
      counted.sumMs += ms;
      // A tenant that is held waits for its move; its stamp has no part in that.
      const isFault = cut === true || isLost === true || (status >= 500 && reason !== "held");
      if (isFault) counted.faults += 1;
      if (tenant !== undefined && (isFault || counted.failing.size > 0)) {
        noteTenant(counted.failing, tenant, isFault, now);
      }
      if (maxTenants > 0 && tenant !== undefined) countTenant(tenants, tenant, status, maxTenants);
    },
    count(name, kind) {
      const kinds = named.get(name) ?? new Map<string, number>();
      named.set(name, kinds);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    },
    counts: () => counts,
  };
}

function countTenant(tenants: Map<string, TenantCounts>, tenant: string, status: number, most: number): void {
  let counted = tenants.get(tenant);
  if (counted === undefined) {
    const name = tenants.size < most ? tenant : otherTenants;
    counted = tenants.get(name) ?? { requests: 0, errors: 0 };
    tenants.set(name, counted);
  }
  counted.requests += 1;
  if (status >= 500) counted.errors += 1;
}

export function noCounts(): Counts {
  return { stamps: new Map(), refusals: new Map(), named: new Map(), tenants: new Map() };
}

function noRequests(): StampCounts {
  return {
    requests: 0,
    errors: 0,
    faults: 0,
    failing: new Map(),
    statuses: [0, 0, 0, 0, 0],
    buckets: bucketBounds.map(() => 0).concat(0),
    sumMs: 0,
  };
}

/** Adds `more` to `total`, which is changed. */
export function addCounts(total: Counts, more: Counts): void {
  for (const [stamp, one] of more.stamps) {
    const sum = total.stamps.get(stamp) ?? noRequests();
    total.stamps.set(stamp, sum);
    sum.requests += one.requests;
    sum.errors += one.errors;
    sum.faults += one.faults;
    addFailing(sum.failing, one.failing);
    sum.sumMs += one.sumMs;
    for (const [index, count] of one.statuses.entries()) sum.statuses[index] = (sum.statuses[index] ?? 0) + count;
    for (const [index, count] of one.buckets.entries()) sum.buckets[index] = (sum.buckets[index] ?? 0) + count;
  }
  addNumbers(total.refusals, more.refusals);
  for (const [name, kinds] of more.named) {
    const sum = total.named.get(name) ?? new Map<string, number>();
    total.named.set(name, sum);
    addNumbers(sum, kinds);
  }
  for (const [tenant, one] of more.tenants) {
    const sum = total.tenants.get(tenant) ?? { requests: 0, errors: 0 };
    total.tenants.set(tenant, { requests: sum.requests + one.requests, errors: sum.errors + one.errors });
  }
}

function addNumbers(total: Map<string, number>, more: ReadonlyMap<string, number>): void {
  for (const [key, count] of more) total.set(key, (total.get(key) ?? 0) + count);
}

export interface StampStats {
  readonly requests: number;
  /** Answers of 500 and above, the router's own included. */
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly statuses: {
    readonly "1xx": number;
    readonly "2xx": number;
    readonly "3xx": number;
    readonly "4xx": number;
    readonly "5xx": number;
  };
}

export interface Stats {
  readonly stamps: Readonly<Record<string, StampStats>>;
  readonly refusals: Readonly<Record<string, number>>;
}

export function statsOf({ stamps, refusals }: Counts): Stats {
  return {
    stamps: Object.fromEntries([...stamps].map(([stamp, counted]) => [stamp, stampStats(counted)])),
    refusals: Object.fromEntries(refusals),
  };
}

function stampStats(counted: StampCounts): StampStats {
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = counted.statuses;
  return {
    requests: counted.requests,
    errors: counted.errors,
    p50Ms: quantile(counted, 0.5),
    p99Ms: quantile(counted, 0.99),
    statuses: { "1xx": a, "2xx": b, "3xx": c, "4xx": d, "5xx": e },
  };
}

/** Straight line within the bucket: right to the bucket's width, which is all that a histogram knows. */
function quantile({ buckets, requests }: StampCounts, share: number): number {
  if (requests === 0) return 0;
  const rank = share * requests;
  let below = 0;
  for (let index = 0; index < buckets.length; index++) {
    const inside = buckets[index] ?? 0;
    if (below + inside >= rank && inside > 0) {
      const from = bucketBounds[index - 1] ?? 0;
      const to = bucketBounds[index] ?? from;
      return Math.round((from + ((to - from) * (rank - below)) / inside) * 100) / 100;
    }
    below += inside;
  }
  return bucketBounds.at(-1) ?? 0;
}
