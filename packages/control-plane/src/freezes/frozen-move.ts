import { type Freezes, type Move, whyFrozen } from "@stampyard/domain";
import type { Store } from "../store/port.ts";
import { endOfFreeze, type FreezeDeps, readFreezes } from "./freezes.ts";

/**
 * Why a move may not begin, or come to its switch, now: either of its stamps is in the scope of a freeze. One that
 * switches goes on: from there on a tenant would wait for it. Nor is one held that takes another one back.
 */
export async function whyMoveFrozen(
  { store, clock }: FreezeDeps & { readonly store: Pick<Store, "stamps"> },
  { from, to, returns: undone }: Pick<Move, "from" | "to" | "returns">,
): Promise<string | undefined> {
  if (undone !== undefined) return undefined;
  const freezes = await readFreezes(store);
  if (!stopsAnyMove(freezes)) return undefined;
  const stamps = await Promise.all([store.stamps.read(from), store.stamps.read(to)]);
  for (const row of stamps) {
    if (row === undefined) continue;
    const { name, pool, region } = row.value;
    const frozen = whyFrozen(freezes, "moves", { stamp: name, pool, region }, clock.now());
    if (frozen !== undefined) return endOfFreeze(frozen);
  }
  return undefined;
}

/** Every round of every move asks, and mostly there is nothing. */
function stopsAnyMove({ freezes, windows }: Freezes): boolean {
  return [...freezes, ...windows].some(({ stops }) => stops.includes("moves"));
}
