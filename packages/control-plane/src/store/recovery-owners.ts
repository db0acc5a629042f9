import type { FoundHome } from "./recovery-moves.ts";
import type { Claim } from "./recovery-plan.ts";

/** A stamp that a tenant belongs to, by what stamps say. */
export interface Owner {
  readonly stamp: string;
  readonly epoch: number;
  readonly state: string;
  /** Its own row does not say so (yet): the stamp does that the tenant has left by a decided move. */
  readonly isSaidOf?: true;
  readonly by?: Claim;
}

export function isOwner({ state }: Claim): boolean {
  return state === "active" || state === "suspended" || state === "fenced";
}

/** Highest epoch first. What is fenced or armed is the source's until it has decided; then its target's (D12). */
export function ownersOf(claims: readonly Claim[]): readonly Owner[] {
  const own = claims.filter(isOwner).map(({ stamp, epoch, state }): Owner => ({ stamp, epoch, state }));
  const said = claims.flatMap((claim): readonly Owner[] => {
    if (claim.state !== "moved" || claim.movedTo === undefined) return [];
    const { movedTo: stamp, epoch } = claim;
    // Its own row knows better, also that it has left again or is being deleted.
    const there = claims.find((other) => other.source === `stamp/${stamp}`);
    if (there !== undefined && there.epoch >= epoch && there.state !== "importing") return [];
    return [{ stamp, epoch, state: "moved", isSaidOf: true, by: claim }];
  });
  return [...own, ...said].sort((a, b) => b.epoch - a.epoch);
}

/** Targets of decided moves that have not opened. */
export function openingOf(claims: readonly Claim[]): readonly Required<FoundHome>[] {
  return claims.flatMap(({ state, stamp: from, movedTo, moveId, epoch }) => {
    if (state !== "moved" || movedTo === undefined || moveId === undefined) return [];
    const there = claims.find((claim) => claim.source === `stamp/${movedTo}`);
    if (there?.state !== "importing" || there.moveId !== moveId || there.epoch !== epoch) return [];
    return [{ stamp: movedTo, epoch, opening: { move: moveId, from } }];
  });
}
