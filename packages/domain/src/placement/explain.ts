import type { Placement, PlacementCandidate, PlacementRequest, PlacementSettings } from "./candidate.ts";
import { totalsOf, choosePlacement } from "./choose.ts";
import { amount, type FilterName, filterOf, whyRefused } from "./filters.ts";
import { scoresOf, totalOf } from "./scores.ts";

/** Why one stamp was chosen, could have been, or could not. */
export interface StampVerdict {
  readonly stamp: string;
  readonly outcome: "chosen" | "eligible" | "refused";
  readonly filter?: FilterName;
  /** To be read after the stamp's name. */
  readonly why: string;
  readonly scores?: Readonly<Record<string, number>>;
  readonly total?: number;
}

export interface PlacementExplanation {
  readonly placement: Placement;
  /** The chosen one, those that could have been by score, then the refused by name. */
  readonly verdicts: readonly StampVerdict[];
}

/** The decision of `choosePlacement`, with a verdict for every stamp. */
export function explainPlacement(
  request: PlacementRequest,
  candidates: readonly PlacementCandidate[],
  settings: PlacementSettings,
): PlacementExplanation {
  const placement = choosePlacement(request, candidates, settings);
  const chosen = placement.kind === "place" ? placement.stamp : undefined;
  const totals = totalsOf(request.pool, candidates);
  const best = candidates.find((candidate) => candidate.name === chosen);
  const bestTotal = best === undefined ? 0 : totalOf(scoresOf(request, best, settings, totals));
  const verdicts = candidates.map((candidate): StampVerdict => {
    const stamp = candidate.name;
    const filter = filterOf(request, candidate, settings);
    if (filter !== undefined) {
      return { stamp, outcome: "refused", filter, why: whyRefused(filter, request, candidate, settings) };
    }
    const scores = scoresOf(request, candidate, settings, totals);
    const total = totalOf(scores);
    const isChosen = stamp === chosen;
    const why = isChosen ? whyChosen(total) : whyNot(total, bestTotal, chosen ?? "another");
    return { stamp, outcome: isChosen ? "chosen" : "eligible", why, scores, total };
  });
  return { placement, verdicts: verdicts.sort(byRank) };
}

function whyChosen(total: number): string {
  return `has the highest score, ${amount(total)}`;
}

function whyNot(total: number, best: number, chosen: string): string {
  if (total === best) return `has the same score as ${chosen}, whose name comes first`;
  return `has a score of ${amount(total)}, less than ${amount(best)} of ${chosen}`;
}

const rank = { chosen: 0, eligible: 1, refused: 2 } as const;

function byRank(a: StampVerdict, b: StampVerdict): number {
  const byOutcome = rank[a.outcome] - rank[b.outcome];
  const byTotal = (b.total ?? 0) - (a.total ?? 0);
  return byOutcome || byTotal || (a.stamp < b.stamp ? -1 : 1);
}
