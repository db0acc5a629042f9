import type { DirectoryView } from "@stampyard/directory";
import { type RoutingLimits, standardTier, type TenantLimits } from "@stampyard/domain";
import { createTenantParts, type TenantDemand } from "./tenant-parts.ts";

export type GateVerdict =
  | { readonly kind: "in" }
  | { readonly kind: "rate"; readonly retryAfterMs: number }
  | { readonly kind: "concurrency" };

export interface TenantState {
  readonly inFlight: number;
  /** Requests that may come at once now; undefined = no limit, or nothing came lately. */
  readonly tokens: number | undefined;
}

export interface TenantGate {
  /** Counts one request in, or says why not. `leave` must follow exactly once after `in`. */
  enter(tenant: string, limits: TenantLimits | undefined): GateVerdict;
  leave(tenant: string): void;
  /** Requests of the tenant on their way to a stamp. */
  inFlight(tenant: string): number;
  state(tenant: string, limits: TenantLimits | undefined): TenantState;
  /** As `TenantParts`. */
  setParts(parts: ReadonlyMap<string, number>): void;
  demand(): readonly TenantDemand[];
}

interface Bucket {
  tokens: number;
  at: number;
  /** As they were at `at`. */
  rate: number;
  burst: number;
}

const admitted: GateVerdict = { kind: "in" };
const tooManyAtOnce: GateVerdict = { kind: "concurrency" };

/** Buckets of one generation; two are kept. */
const mostBuckets = 32_768;

/**
 * Counts requests per tenant and keeps to its limits. The counts hold one entry per tenant with a request on its way;
 * buckets are kept in two generations: one that nobody touched for a whole generation is full again, so forgetting it
 * changes nothing. Under a flood of more tenants than fit, some start full early: bounded memory comes first.
 * @param now monotonic, milliseconds
 * @param shares processes that share each limit, in equal parts but for rates that `setParts` divides otherwise; no part
 * is below one request (D17)
 */
export function createTenantGate(now: () => number, most: number = mostBuckets, shares = 1): TenantGate {
  const flying = new Map<string, number>();
  let young = new Map<string, Bucket>();
  let old = new Map<string, Bucket>();
  let bornAt = now();
  /** Longest time that a bucket of this generation needs to fill, in milliseconds. */
  let fillMs = 1_000;

  function bucketOf(tenant: string, rate: number, burst: number, at: number): Bucket {
    fillMs = Math.max(fillMs, (burst / rate) * 1_000);
    if (young.size >= most || at - bornAt > fillMs) {
      old = young;
      young = new Map();
      bornAt = at;
    }
    let bucket = young.get(tenant);
    if (bucket === undefined) {
      bucket = old.get(tenant) ?? { tokens: burst, at, rate, burst };
      young.set(tenant, bucket);
    }
    bucket.rate = rate;
    bucket.burst = burst;
    fill(bucket, at);
    return bucket;
  }

  const parts = createTenantParts(shares);

  function enterRate(tenant: string, limits: TenantLimits, perSecond: number): GateVerdict {
    const part = parts.of(tenant);
    const rate = perSecond * part;
    const bucket = bucketOf(tenant, rate, Math.max(1, burstOf(limits, perSecond) * part), now());
    const refused = bucket.tokens < 1;
    parts.note(tenant, refused);
    if (refused) return { kind: "rate", retryAfterMs: ((1 - bucket.tokens) / rate) * 1_000 };
    bucket.tokens -= 1;
    return admitted;
  }

  return {
    enter(tenant, limits) {
      const count = flying.get(tenant) ?? 0;
      if (limits !== undefined) {
        if (limits.concurrency !== undefined && count >= Math.ceil(limits.concurrency / shares)) return tooManyAtOnce;
        if (limits.requestsPerSecond !== undefined) {
          const verdict = enterRate(tenant, limits, limits.requestsPerSecond);
          if (verdict.kind !== "in") return verdict;
        }
      }
      flying.set(tenant, count + 1);
      return admitted;
    },
    leave(tenant) {
      const count = flying.get(tenant) ?? 0;
      if (count > 1) flying.set(tenant, count - 1);
      else flying.delete(tenant);
    },
    inFlight: (tenant) => flying.get(tenant) ?? 0,
    state(tenant, limits) {
      const bucket = young.get(tenant) ?? old.get(tenant);
      const rate = limits?.requestsPerSecond;
      if (limits === undefined || rate === undefined || bucket === undefined) {
        return { inFlight: flying.get(tenant) ?? 0, tokens: undefined };
      }
      const tokens = Math.min(burstOf(limits, rate), bucket.tokens + ((now() - bucket.at) / 1_000) * rate);
      return { inFlight: flying.get(tenant) ?? 0, tokens: Math.floor(tokens) };
    },
    setParts(next) {
      const at = now();
      for (const tenant of parts.set(next)) {
        // What a bucket got until now it got at its old rate.
        const bucket = young.get(tenant) ?? old.get(tenant);
        if (bucket !== undefined) fill(bucket, at);
      }
    },
    demand: parts.take,
  };
}

function fill(bucket: Bucket, at: number): void {
  bucket.tokens = Math.min(bucket.burst, bucket.tokens + ((at - bucket.at) / 1_000) * bucket.rate);
  bucket.at = at;
}

function burstOf({ burst }: TenantLimits, rate: number): number {
  return burst ?? Math.max(1, rate * 2);
}

/**
 * The limits of a tenant that is at home in this pool: those of its tier, else of the pool, else the general ones.
 * @param tierOf asked only where there are limits of tiers; undefined = the standard one
 */
export function limitsFor(
  limits: RoutingLimits | undefined,
  pool: string,
  directory: Pick<DirectoryView, "tierAt" | "findTenant">,
  tenant: string,
): TenantLimits | undefined {
  if (limits?.tiers !== undefined) {
    const own = limits.tiers[directory.tierAt(directory.findTenant(tenant)) ?? standardTier];
    if (own !== undefined) return own;
  }
  return limits?.pools?.[pool] ?? limits;
}
