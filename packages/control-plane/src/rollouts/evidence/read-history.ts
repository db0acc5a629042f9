import type { EvidenceBucket, Instant } from "@stampyard/domain";
import type { Store } from "../../store/port.ts";
import type { EvidenceMemory } from "./evidence-memory.ts";
import { readTakenBack, type TakenBack, wasTakenBack } from "./taken-back.ts";

/** Buckets of one rollout that were read before: a gate is asked every second, and an hour ago does not change. */
export interface History {
  readonly stamps: ReadonlySet<string>;
  readonly from: Instant;
  readonly rows: Map<string, EvidenceBucket>;
  readonly takenBack: readonly TakenBack[];
  readAt: Instant;
}

/** Buckets may be completed for some spans after their end. */
const unsettledSpans = 16;

/**
 * All buckets of these stamps from a time on, but those under releases that were taken back; of what was read before only
 * the newest are read again.
 */
export async function readHistory(
  { evidence, rollouts }: Pick<Store, "evidence" | "rollouts">,
  { histories, spanMs }: EvidenceMemory,
  asked: { readonly key: string; readonly stamps: readonly string[]; readonly from: Instant; readonly now: Instant },
): Promise<readonly EvidenceBucket[]> {
  const { key, stamps, from, now } = asked;
  let known = histories.get(key);
  const isKnown = known !== undefined && stamps.every((stamp) => known?.stamps.has(stamp)) && known.from <= from;
  if (known === undefined || !isKnown) {
    const all = new Set(stamps);
    // None of them has anything to do with this rollout: what it touches itself is not taken back yet.
    const takenBack = await readTakenBack({ rollouts }, all, from);
    known = { stamps: all, from, rows: new Map(), takenBack, readAt: from };
  }
  const since = Math.max(known.from, Math.min(known.readAt, now) - unsettledSpans * spanMs);
  for (const row of await evidence.buckets([...known.stamps], since)) {
    if (!wasTakenBack(known.takenBack, row)) known.rows.set(`${row.at} ${row.stamp}`, row);
  }
  known.readAt = now;
  histories.set(key, known);
  const wanted = new Set(stamps);
  return [...known.rows.values()].filter((row) => wanted.has(row.stamp) && row.at >= from);
}

/** Of so many candidates those with the most requests lately, chosen once as long as most of them are left. */
export async function chooseSiblings(
  { evidence }: Pick<Store, "evidence">,
  { siblings }: EvidenceMemory,
  asked: { readonly key: string; readonly candidates: readonly string[]; readonly most: number; readonly now: Instant },
): Promise<readonly string[]> {
  const { key, candidates, most, now } = asked;
  if (candidates.length <= most) return candidates;
  const there = new Set(candidates);
  const kept = (siblings.get(key) ?? []).filter((stamp) => there.has(stamp));
  if (kept.length * 2 > most) return kept;
  const requests = new Map(candidates.map((stamp) => [stamp, 0]));
  for (const row of await evidence.buckets(candidates, now - lately)) {
    requests.set(row.stamp, (requests.get(row.stamp) ?? 0) + row.requests);
  }
  const busiest = [...requests].sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1));
  const chosen = busiest.slice(0, most).map(([stamp]) => stamp);
  siblings.set(key, chosen);
  return chosen;
}

const lately = 5 * 60_000;
