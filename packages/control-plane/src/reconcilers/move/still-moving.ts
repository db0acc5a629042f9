import { type Move, StampyardError } from "@stampyard/domain";
import type { Turn } from "../turn.ts";
import type { MoveDeps } from "./move-deps.ts";
import type { MoveRow } from "./move-row.ts";

/** Phases whose work is given up when the move, or the tenant, is to become something else. */
const canBeGivenUp: readonly Move["state"]["kind"][] = ["requested", "checking", "copying", "switching"];

/**
 * Runs the work of a step, and aborts it when somebody wants the move to end, or the tenant to go: nobody waits for the end
 * of a copy that is to be thrown away. The pause of a switch does not listen to this: it is short, and ends by itself.
 * @throws StampyardError CANCELLED when it was given up
 */
export async function whileMoveWanted(
  deps: Pick<MoveDeps, "store">,
  row: MoveRow,
  turn: Turn,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { id, tenant, goal, state } = row.value;
  if (goal === "abort" || !canBeGivenUp.includes(state.kind)) return await work(turn.signal);
  const changed = new AbortController();
  const look = async () => {
    const [move, home] = await Promise.all([deps.store.moves.read(id), deps.store.tenants.read(tenant)]);
    if (move?.value.goal === "finish" && home?.value.goal === "present") return;
    changed.abort(new StampyardError("CANCELLED", `Move ${id} is to end`));
  };
  const unwatch = deps.store.watch((event) => {
    const isOurs = (event.kind === "move" && event.move === id) || (event.kind === "tenant" && event.tenant === tenant);
    if (isOurs) look().catch(() => {});
  });
  try {
    await work(AbortSignal.any([turn.signal, changed.signal]));
  } catch (caught) {
    // Movers word an abort in their own way.
    throw changed.signal.aborted ? changed.signal.reason : caught;
  } finally {
    unwatch();
  }
}
