import type { Instant } from "../ports.ts";
import { type CampaignSettings, worstPauseMs } from "./campaign.ts";
import type { CampaignMove } from "./campaign-world.ts";

const dayMs = 86_400_000;
const firstRetryMs = 60_000;
const longestRetryMs = 3_600_000;

/** Why a tenant may not be moved before `until`, or undefined. */
export interface Waiting {
  readonly why: string;
  readonly until: Instant;
  /** What a day may cost it is used up. */
  readonly isSpent?: boolean;
}

/**
 * Whether the budget has room for one more move, at its worst: a move that began may pause its tenant as often as it
 * tries to switch, and nobody stops it between two tries. After an aborted one, the next waits longer and longer.
 */
export function pauseBudget(
  { budget, maxPauseMs }: Pick<CampaignSettings, "budget" | "maxPauseMs">,
  moves: readonly CampaignMove[],
  now: Instant,
): Waiting | undefined {
  const recent = moves.filter(({ startedAt, changedAt }) => Math.max(startedAt, changedAt) > now - dayMs);
  const begun = recent.filter(({ startedAt }) => startedAt > now - dayMs).sort((a, b) => a.startedAt - b.startedAt);
  const over = begun[begun.length - budget.tries];
  if (over !== undefined) {
    const why = `it was moved ${begun.length} times within a day, and its budget is ${budget.tries}`;
    return { why, until: over.startedAt + dayMs, isSpent: true };
  }
  const paused = recent.reduce((sum, { pausedMs }) => sum + pausedMs, 0);
  if (paused + worstPauseMs(maxPauseMs) > budget.pauseMs) {
    const why = `its writes were paused for ${paused} ms within a day, and another move could take its budget of ${budget.pauseMs} ms`;
    // By then the first of these pauses is a day old; asked again, the answer may be the same.
    const first = recent.reduce((least, { changedAt }) => Math.min(least, changedAt), now);
    return { why, until: Math.max(now + firstRetryMs, first + dayMs), isSpent: true };
  }
  return retryOf(begun, now);
}

function retryOf(begun: readonly CampaignMove[], now: Instant): Waiting | undefined {
  const aborted = begun.filter(({ phase }) => phase === "aborted");
  const last = aborted.at(-1);
  if (last === undefined) return undefined;
  const until = last.changedAt + Math.min(longestRetryMs, firstRetryMs * 2 ** (aborted.length - 1));
  return now < until ? { why: `retry of: ${last.cause ?? "an aborted move"}`, until } : undefined;
}
