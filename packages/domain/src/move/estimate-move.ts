import type { MoveReport } from "./report.ts";

export interface MoveEstimate {
  /** Milliseconds from the request until the tenant is served by its target. */
  readonly totalMs: number;
  /** The write pause inside it. */
  readonly pauseMs: number;
  /** How many finished moves it is taken from; 0 = assumed. */
  readonly basedOn: number;
}

/** What was measured on two cores under load; the first moves of a fleet replace it. */
const assumed = { bytesPerMs: 15_000, pauseMs: 200 } as const;
/** Preflight, the routers' answers and the steps between them, whatever the tenant's size. */
const overheadMs = 1_500;
/** Comparing reads both copies once more; measured at a fifth of the copy. */
const withCompare = 1.2;
/** The rate of a smaller copy says how long a round trip takes, and nothing else. */
const leastBytes = 1_000_000;

/** How long a move will take, by the median of those before it. */
export function estimateMove(size: { readonly bytes: number }, past: readonly MoveReport[]): MoveEstimate {
  const rates = past.flatMap(({ copied }) =>
    copied === undefined || copied.bytes < leastBytes || copied.ms <= 0 ? [] : [copied.bytes / copied.ms],
  );
  const pauses = past.flatMap(({ switches }) => {
    const decided = switches?.findLast(({ outcome }) => outcome === "decided");
    return decided?.pauseMs === undefined ? [] : [decided.pauseMs];
  });
  const copyMs = size.bytes / (median(rates) ?? assumed.bytesPerMs);
  return {
    totalMs: Math.round(overheadMs + copyMs * withCompare),
    pauseMs: Math.round(median(pauses) ?? assumed.pauseMs),
    basedOn: Math.max(rates.length, pauses.length),
  };
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
