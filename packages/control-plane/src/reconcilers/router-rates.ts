import { isIP } from "node:net";
import type { Instant } from "@stampyard/domain";
import type { RouterRecord } from "../store/port.ts";
import type { RouterCounts } from "../store/rollout-port.ts";

/** Requests that a router has counted since it started, by stamp. */
export interface RouterCount {
  readonly at: Instant;
  /** Of a router that tells its counts by itself: other numbers begin with another one. */
  readonly life?: string;
  readonly uptimeMs: number;
  readonly requests: ReadonlyMap<string, number>;
}

const askWithinMs = 5_000;
/** A router's own counts are small; whoever answers more is not one. */
const mostBytes = 4_194_304;

/** What a router told of by itself, by its own clock; undefined of one that is older than such reports. */
export function readReportedCount(counts: RouterCounts | undefined): RouterCount | undefined {
  if (counts === undefined) return undefined;
  const { countedAt: at, life, stamps } = counts;
  const requests = Object.entries(stamps).map(([stamp, one]) => [stamp, one.requests] as const);
  return { at, life, uptimeMs: 0, requests: new Map(requests) };
}

/**
 * What a router counted, from its admin listener; undefined when it cannot be asked. That listener is on loopback, so
 * only a router of this machine can be, and the name in its answer must be the one we asked for.
 */
export async function readRouterCount(
  router: RouterRecord,
  now: () => Instant,
  signal: AbortSignal,
): Promise<RouterCount | undefined> {
  if (router.admin === undefined || !URL.canParse(router.admin) || !isHere(router.address)) return undefined;
  try {
    const response = await fetch(new URL("/stats", router.admin), {
      signal: AbortSignal.any([signal, AbortSignal.timeout(askWithinMs)]),
      redirect: "error",
    });
    if (!response.ok || Number(response.headers.get("content-length") ?? 0) > mostBytes) return undefined;
    const stats = (await response.json()) as Stats;
    if (stats.name !== router.name || typeof stats.uptimeMs !== "number") return undefined;
    const requests = Object.entries(stats.stamps ?? {}).map(([stamp, one]) => [stamp, Number(one.requests)] as const);
    return { at: now(), uptimeMs: stats.uptimeMs, requests: new Map(requests) };
  } catch {
    return undefined;
  }
}

interface Stats {
  readonly name?: unknown;
  readonly uptimeMs?: unknown;
  readonly stamps?: Readonly<Record<string, { readonly requests?: unknown }>>;
}

/**
 * Requests per second by stamp between two readings of one way. A router that started meanwhile counts from its start; one
 * of another life says nothing of the time between.
 */
export function ratesBetween(before: RouterCount, after: RouterCount): ReadonlyMap<string, number> {
  if (before.life !== after.life) return new Map();
  const hasRestarted = after.uptimeMs < before.uptimeMs;
  const ms = hasRestarted ? after.uptimeMs : after.at - before.at;
  const rates = new Map<string, number>();
  if (ms <= 0) return rates;
  for (const [stamp, total] of after.requests) {
    const earlier = hasRestarted ? 0 : (before.requests.get(stamp) ?? 0);
    rates.set(stamp, (Math.max(0, total - earlier) * 1_000) / ms);
  }
  return rates;
}

function isHere(address: string | undefined): boolean {
  const plain = address?.replace(/^::ffff:/, "") ?? "";
  return isIP(plain) !== 0 && (plain === "::1" || plain.startsWith("127."));
}
