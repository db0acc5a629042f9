import type { Move, MovePhase } from "@stampyard/domain";

export interface MoveCaps {
  /** Moves at work with one stamp as source or target. @default 2 */
  readonly perStamp?: number;
  /** @default 4 */
  readonly inAll?: number;
}

/**
 * Which moves are at work: each of them loads two databases, and their connections belong to the applications. A move that
 * has to wait is not even looked at until another one ends.
 */
export interface MoveLoad {
  /** Counts the move from now on and answers undefined, or says why it has to wait. Asked at once, answered at once. */
  enter(move: Pick<Move, "id" | "from" | "to">): string | undefined;
  /** Notes where a move is, after its row was read or written. */
  keep(move: Pick<Move, "id" | "from" | "to" | "state">): void;
  leave(id: string): void;
  isWaiting(id: string): boolean;
  /** So many that wait, longest first; they wait no more, until they are refused again. */
  takeWaiting(count: number): readonly string[];
}

const atWork: readonly MovePhase[] = ["copying", "switching"];
/** Before they are at work, they enter by themselves. */
const entering: readonly MovePhase[] = ["requested", "checking"];

/** One for each term of a leader, which alone runs moves: so memory is enough, once the moves at work are read into it. */
export function createMoveLoad({ perStamp = 2, inAll = 4 }: MoveCaps = {}): MoveLoad {
  const moves = new Map<string, readonly string[]>();
  const waiting = new Set<string>();

  function whyNot({ from, to }: Pick<Move, "from" | "to">): string | undefined {
    if (moves.size >= inAll) return `other moves: ${inAll} are at work, the most at once`;
    for (const stamp of [from, to]) {
      const there = [...moves.values()].filter((stamps) => stamps.includes(stamp)).length;
      if (there >= perStamp) return `other moves of stamp ${stamp}: ${perStamp} are at work, the most at once`;
    }
    return undefined;
  }

  return {
    enter(move) {
      waiting.delete(move.id);
      if (moves.has(move.id)) return undefined;
      const reason = whyNot(move);
      if (reason === undefined) moves.set(move.id, [move.from, move.to]);
      else waiting.add(move.id);
      return reason;
    },
    keep({ id, from, to, state }) {
      if (atWork.includes(state.kind)) moves.set(id, [from, to]);
      else if (!entering.includes(state.kind)) moves.delete(id);
    },
    leave: (id) => void moves.delete(id),
    isWaiting: (id) => waiting.has(id),
    takeWaiting(count) {
      const taken = [...waiting].slice(0, count);
      for (const id of taken) waiting.delete(id);
      return taken;
    },
  };
}
