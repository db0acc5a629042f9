import { setTimeout as delay } from "node:timers/promises";
import type { MoveView } from "../../packages/api/src/schemas/moves.ts";
import type { HistoryFleet } from "./history-fleet.ts";

/** Asks for moves as anybody would, and stays with them whatever happens to the control plane. */
export interface MoveWish {
  readonly tenant: string;
  readonly to: string;
  readonly verify?: "incremental" | "before" | "after";
  readonly maxPauseMs?: number;
  readonly restMs?: number;
}

/**
 * Until it was taken, as often as nobody answers. A process that dies with the request keeps its key for two minutes; if it
 * had asked for the move before, that one is named.
 */
export async function requestMove(fleet: HistoryFleet, wish: MoveWish): Promise<MoveView> {
  const key = `history-${wish.tenant}-${wish.to}-${performance.now().toFixed(3)}`;
  return await persist(`a move of ${wish.tenant}`, 180_000, async () => {
    try {
      const created = await fleet.call<{ move: MoveView }>("POST", "/v1/moves", wish, { "idempotency-key": key });
      return created.move;
    } catch (caught) {
      const id = /its answer was lost: move\/(mv-[a-z0-9-]+)/.exec(String(caught))?.[1];
      if (id === undefined) throw caught;
      return await fleet.call<MoveView>("GET", `/v1/moves/${id}`);
    }
  });
}

const ended = ["done", "aborted", "returned", "disputed"];

/** Until nothing more comes of it by itself. @throws Error telling where it stands */
export async function untilEnded(
  fleet: HistoryFleet,
  id: string,
  options: { readonly withinMs: number; readonly isEnough?: (move: MoveView) => boolean; readonly everyMs?: number },
): Promise<MoveView> {
  const deadline = performance.now() + options.withinMs;
  let last: MoveView | undefined;
  for (;;) {
    try {
      last = await fleet.call<MoveView>("GET", `/v1/moves/${id}`);
      if (ended.includes(last.phase) || options.isEnough?.(last) === true) return last;
    } catch {
      // Killed, or not yet leader again.
    }
    if (performance.now() > deadline) throw new Error(`Move ${id} does not end: ${JSON.stringify(last, undefined, 1)}`);
    await delay(options.everyMs ?? 50);
  }
}

export async function persist<T>(what: string, withinMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await work();
    } catch (caught) {
      if (performance.now() > deadline) throw new Error(`${what} was not taken`, { cause: caught });
      await delay(100);
    }
  }
}
