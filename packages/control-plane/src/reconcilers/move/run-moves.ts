import { endedMoves, type FencingToken, type Move, StampyardError, wayBackOf } from "@stampyard/domain";
import type { ReconcileDeps } from "../turn.ts";
import { createTurns } from "../turns.ts";
import type { MoveDeps, MoveParts } from "./move-deps.ts";
import { createMoveLoad } from "./move-load.ts";
import { reconcileMove } from "./reconcile-move.ts";

const resyncMs = 1_000;
/** Most of them wait for something; how many work is decided by `MoveLoad`. */
const movesAtATime = 32;
/** Of those that wait for others to end, so many ask again at each look. */
const waitersAtATime = 16;

/** Runs the moves of tenants while this process leads. Ends with the signal, or throws STALE_LEADER. */
export async function runMoves(
  deps: ReconcileDeps & MoveParts,
  token: FencingToken,
  signal: AbortSignal,
): Promise<void> {
  const lost = new AbortController();
  const ending = AbortSignal.any([signal, lost.signal]);
  const turn = { token, signal: ending };
  const moveLoad = createMoveLoad();
  const moveDeps: MoveDeps = { ...deps, moveLoad };
  const turns = createTurns({
    turn: (id) => reconcileMove(moveDeps, id, turn),
    concurrency: movesAtATime,
    clock: deps.clock,
    random: deps.random,
    signal: ending,
    onError: (move, caught) => {
      const error = StampyardError.from(caught);
      if (error.code === "STALE_LEADER") lost.abort(error);
      deps.log.error({ move, code: error.code, err: error }, "a turn of a move failed");
    },
  });

  let isKnown = false;
  /** Moves that rest wait for a timer of this process, so the first look is at all of them. */
  const lookAtAll = async () => {
    const open = await openMoves(deps);
    for (const move of open) moveLoad.keep(move);
    for (const { id } of open) turns.wake(id);
    isKnown = true;
  };
  const resync = async () => {
    if (!isKnown) return await lookAtAll();
    const waiting = moveLoad.takeWaiting(waitersAtATime);
    for (const id of await deps.store.moves.due(deps.clock.now())) {
      if (!moveLoad.isWaiting(id) || waiting.includes(id)) turns.wake(id);
    }
  };
  const resyncSafely = () =>
    resync().catch((caught: unknown) => {
      if (!ending.aborted) deps.log.warn({ err: caught }, "moves cannot be read");
    });
  const unwatch = deps.store.watch((event) => {
    if (event.kind === "move" && isKnown) {
      turns.wake(event.move);
      const returned = returnedBy(event.move);
      if (returned !== undefined) turns.wake(returned);
      // At the latest then its place is free; most give it back at the switch, which the next look finds.
      if (endedMoves.includes(event.phase) || event.phase === "opening")
        for (const id of moveLoad.takeWaiting(waitersAtATime)) turns.wake(id);
    }
    if (event.kind === "mode") isKnown = false;
    const isWish = event.kind === "tenant" && event.phase === "moving";
    if (isWish || event.kind === "mode") void resyncSafely();
  });
  try {
    while (!ending.aborted) {
      await resyncSafely();
      await deps.clock.sleep(resyncMs, ending).catch(() => {});
    }
  } finally {
    unwatch();
    await turns.idle();
  }
  if (lost.signal.aborted) throw lost.signal.reason;
}

async function openMoves({ store }: Pick<ReconcileDeps, "store">): Promise<readonly Move[]> {
  const moves: Move[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.moves.list({ isOpen: true, limit: 500, ...(cursor === undefined ? {} : { cursor }) });
    moves.push(...page.items.map(({ value }) => value));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return moves;
}

/** The move that this one takes back, by its name: it rests, and hears of the end of its way back here. */
function returnedBy(id: string): string | undefined {
  const suffix = wayBackOf("");
  return id.endsWith(suffix) ? id.slice(0, -suffix.length) : undefined;
}
