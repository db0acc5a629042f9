import type { HomeSeen, Move, Mover, MoverPolicy, MoverSight } from "@stampyard/domain";
import { type MoveEnds, policyOf, readEnds } from "../../moves/move-ends.ts";
import type { Turn } from "../turn.ts";
import type { MoveDeps } from "./move-deps.ts";

/** The open connections of one turn, and what they lead to. */
export interface Lane extends AsyncDisposable {
  readonly mover: Mover;
  readonly ends: MoveEnds;
  /** Never throws for a database that does not answer. */
  look(): Promise<MoverSight>;
}

/** Where nobody listens: a mover that cannot reach one side still opens the other. */
const nowhere = "postgresql://nobody@127.0.0.1:1/none";

/** For a look at what is there, when no template says more; whoever copies with it was refused before. */
const noPolicy: MoverPolicy = { tenantColumn: "tenant_id", ids: {}, via: {}, reference: [], ignored: [] };

export async function openLane(deps: MoveDeps, move: Move, turn: Turn): Promise<Lane> {
  const ends = await readEnds(deps, move, turn.signal);
  const mover = await deps.openMover({
    move,
    policy: policyOf(ends) ?? noPolicy,
    source: ends.source.url ?? nowhere,
    target: ends.target.url ?? nowhere,
    clock: deps.clock,
  });
  return {
    mover,
    ends,
    async look() {
      return withoutTheGone(move, ends, await mover.look());
    },
    [Symbol.asyncDispose]: () => mover[Symbol.asyncDispose](),
  };
}

/** A destroyed stamp cannot be asked, and need not be: nothing is in it any more. */
function withoutTheGone(move: Move, { source, target }: MoveEnds, sight: MoverSight): MoverSight {
  let seen = sight;
  if (target.stamp === undefined) seen = { ...seen, target: { kind: "absent" } };
  if (source.stamp !== undefined) return seen;
  // What it decided was recorded while it was there, and stays decided.
  const isDecided = ["opening", "verifying", "resting", "disputed", "erasing"].includes(move.state.kind);
  const home: HomeSeen = isDecided
    ? { kind: "present", state: "moved", epoch: move.epoch + 1, moveId: move.id }
    : { kind: "absent" };
  const isWatched = seen.target.kind === "present" && seen.target.isWatched === true;
  return { ...seen, source: home, lag: 0, isErased: !isWatched };
}
