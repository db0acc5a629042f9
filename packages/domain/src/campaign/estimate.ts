/** What past moves of this fleet took. */
export interface PastMove {
  /** From the request until the source had decided. */
  readonly tookMs: number;
  /** Of its tenant's rows, as far as they were counted. */
  readonly bytes?: number;
}

/** How long a campaign will take, with what it was reckoned from; undefined = nothing was measured yet. */
export interface CampaignEstimate {
  readonly ms: number;
  readonly basis: string;
}

const enoughForRate = 3;

/**
 * By size where sizes are known and past moves had some, else by the median of past moves; that many at a time. Never a
 * guess from nothing.
 */
export function estimateCampaign(
  tenants: readonly { readonly bytes?: number }[],
  past: readonly PastMove[],
  concurrency: number,
): CampaignEstimate | undefined {
  if (tenants.length === 0) return { ms: 0, basis: "nobody has to move" };
  if (past.length === 0) return undefined;
  const usual = median(past.map(({ tookMs }) => tookMs));
  const sized = past.filter((move): move is PastMove & { bytes: number } => move.bytes !== undefined && move.bytes > 0);
  const bytes = sized.reduce((sum, move) => sum + move.bytes, 0);
  const ms = sized.reduce((sum, move) => sum + move.tookMs, 0);
  const hasRate = sized.length >= enoughForRate && ms > 0;
  // What every move takes, however small its tenant is: the quickest one is mostly that.
  const least = Math.min(...past.map(({ tookMs }) => tookMs));
  const known = hasRate ? tenants.filter((tenant) => tenant.bytes !== undefined).length : 0;
  const each = tenants.map((tenant) => {
    return hasRate && tenant.bytes !== undefined ? Math.max(least, (tenant.bytes * ms) / bytes) : usual;
  });
  const total = each.reduce((sum, one) => sum + one, 0) / Math.max(1, Math.min(concurrency, tenants.length));
  const moves = `the last ${past.length} ${past.length === 1 ? "move" : "moves"}`;
  const basis =
    known === 0
      ? `the median of ${moves}`
      : `the rate of ${moves}, and the sizes of ${known} of ${tenants.length} tenants`;
  return { ms: Math.round(Math.max(total, ...each)), basis };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor((sorted.length - 1) / 2);
  const low = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? low : (low + (sorted[middle + 1] ?? low)) / 2;
}
