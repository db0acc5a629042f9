import { isServing, type Stamp, type StampObservation, type StampPlan } from "@stampyard/domain";
import type { Store } from "../../store/port.ts";

/**
 * Another release waits for moves that copy or switch with the stamp: its migration would change tables under them (D15).
 * Mending a stamp of the present release waits for nothing. No move begins while a stamp is behind its release, so the two
 * do not wait for each other.
 */
export async function releaseWaits(
  { store }: { readonly store: Pick<Store, "moves"> },
  stamp: Stamp,
  seen: StampObservation,
  plan: StampPlan,
): Promise<StampPlan> {
  const isUpdate = isServing(stamp.state.kind) && seen.presence === "present" && seen.stampDigest !== stamp.stampDigest;
  if (!isUpdate || !plan.actions.some(({ kind }) => kind === "apply")) return plan;
  const moves = (await store.moves.atWork()).get(stamp.name) ?? 0;
  if (moves === 0) return plan;
  const waitingOn = `${moves === 1 ? "a move" : `${moves} moves`} to end before it gets its new release`;
  return { ...plan, actions: plan.actions.filter(({ kind }) => kind !== "apply"), waitingOn };
}
