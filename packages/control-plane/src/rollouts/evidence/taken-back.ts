import type { EvidenceBucket, Instant } from "@stampyard/domain";
import type { Store } from "../../store/port.ts";

/** A time in which a stamp ran what another rollout brought and took back. */
export interface TakenBack {
  readonly stamp: string;
  readonly from: Instant;
  readonly until: Instant;
}

/** A fleet that aborted more of them within an hour has no past that anything could be told from. */
const mostRollouts = 50;

/**
 * What stamps did under a release that was taken back is nobody's usual. Else the canary, which is the same stamp again and
 * again, would have a past as bad as the last bad release, and the next one would pass beside it.
 */
export async function readTakenBack(
  { rollouts }: Pick<Store, "rollouts">,
  stamps: ReadonlySet<string>,
  from: Instant,
): Promise<readonly TakenBack[]> {
  const { items } = await rollouts.list({ phase: "aborted", limit: mostRollouts });
  const found = await Promise.all(
    items.map(async ({ value: { id, state, spent }, createdAt }): Promise<readonly TakenBack[]> => {
      if (state.kind !== "aborted" || state.at < from) return [];
      // Without the time that it was queued.
      const began = Math.max(createdAt, state.at - spent.activeMs - spent.bakingMs - spent.waitingMs);
      return (await rollouts.members(id)).flatMap((member) =>
        member.state.kind === "returned" && stamps.has(member.stamp)
          ? [{ stamp: member.stamp, from: began, until: member.state.at }]
          : [],
      );
    }),
  );
  return found.flat();
}

/** Also without the spans at both ends, which are of neither release. */
export function wasTakenBack(times: readonly TakenBack[], { stamp, at, ms }: EvidenceBucket): boolean {
  return times.some((time) => time.stamp === stamp && at + 2 * ms > time.from && at - ms < time.until);
}
