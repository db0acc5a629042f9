import { isDeepStrictEqual } from "node:util";
import { type Move, type MoveReport, StampyardError } from "@stampyard/domain";
import type { Revisioned } from "../../store/port.ts";
import { type Turn, writeContext } from "../turn.ts";
import type { MoveDeps } from "./move-deps.ts";

/** What a turn may change of its move. An explicit `undefined` takes the field away. */
export interface MoveChange {
  readonly state?: Move["state"];
  readonly setback?: Move["setback"] | undefined;
  readonly waitingOn?: string | undefined;
  readonly report?: Partial<MoveReport>;
}

/** The row of the move that a turn works on: as it was read or written last. */
export interface MoveRow {
  readonly value: Move;
  /** Writes what differs, and nothing when nothing does. @throws StampyardError STALE_REVISION when its state was changed */
  write(change: MoveChange): Promise<void>;
  /** Reads it again, because somebody may want something else of it. */
  refresh(): Promise<Move>;
}

export function createMoveRow(
  deps: Pick<MoveDeps, "store" | "events" | "moveLoad">,
  found: Revisioned<Move>,
  turn: Turn,
): MoveRow {
  let row = found;
  let last: Promise<unknown> = Promise.resolve();
  deps.moveLoad.keep(row.value);

  async function write(change: MoveChange): Promise<void> {
    for (;;) {
      const next = changed(row.value, change);
      if (isDeepStrictEqual(next, row.value)) return;
      const { waitingOn } = next;
      if (waitingOn !== undefined && waitingOn !== row.value.waitingOn) {
        deps.events.publish({ kind: "waiting", subject: `move/${next.id}`, why: waitingOn });
      }
      try {
        row = await deps.store.moves.write(next, row.revision, writeContext(turn));
        deps.moveLoad.keep(row.value);
        return;
      } catch (caught) {
        if (StampyardError.from(caught).code !== "STALE_REVISION") throw caught;
        const before = row.value.state;
        await refresh();
        // A wish of somebody, beside which ours stands; another state would make our step a wrong one.
        if (!isDeepStrictEqual(before, row.value.state)) throw caught;
      }
    }
  }

  async function refresh(): Promise<Move> {
    const fresh = await deps.store.moves.read(row.value.id);
    if (fresh === undefined) throw new StampyardError("NOT_FOUND", `No move ${row.value.id}`);
    row = fresh;
    return row.value;
  }

  return {
    get value() {
      return row.value;
    },
    /** One after the other: progress is written beside the step that makes it. */
    write(change) {
      const written = last.then(() => write(change));
      last = written.catch(() => {});
      return written;
    },
    refresh,
  };
}

function changed(move: Move, change: MoveChange): Move {
  const { setback: oldSetback, waitingOn: oldWaitingOn, ...rest } = move;
  const setback = "setback" in change ? change.setback : oldSetback;
  const waitingOn = "waitingOn" in change ? change.waitingOn : oldWaitingOn;
  return {
    ...rest,
    state: change.state ?? move.state,
    report: change.report === undefined ? move.report : { ...move.report, ...change.report },
    ...(setback === undefined ? {} : { setback }),
    ...(waitingOn === undefined ? {} : { waitingOn }),
  };
}
