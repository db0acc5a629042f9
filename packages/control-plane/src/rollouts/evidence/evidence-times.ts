/** Spans of evidence: short enough that a bake of a minute has a dozen, long enough that most of them have requests. */
const defaultMs = 5_000;

/** Length of a span in milliseconds; `STAMPYARD_EVIDENCE_MS` shortens it for tests. @default 5000 */
export function evidenceMs(env: Readonly<Record<string, string | undefined>> = process.env): number {
  const asked = Number(env["STAMPYARD_EVIDENCE_MS"] || defaultMs);
  return Number.isInteger(asked) && asked >= 100 && asked <= 60_000 ? asked : defaultMs;
}

/** How often a router is to tell its counts: 2 s while a rollout looks on, otherwise 10 s. */
export function reportEveryMs(spanMs: number, isWatched: boolean): number {
  return Math.round(isWatched ? spanMs * 0.4 : spanMs * 2);
}

/** Counts of a longer time are not spread over spans: they are known too late to say when they were. */
export function longestGapMs(spanMs: number): number {
  return Math.max(3_000, spanMs * 3);
}
