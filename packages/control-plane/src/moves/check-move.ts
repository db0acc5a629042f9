import type { Clock, Instant, Move, MoveCheck, MoveProblem, OpenMover } from "@stampyard/domain";
import type { MoveInput } from "../store/move-port.ts";
import type { Store } from "../store/port.ts";
import { defaultMaxPauseMs, defaultRestMs } from "@stampyard/domain";
import { checkSpace } from "./check-space.ts";
import { type EndDeps, policyOf, readEnds } from "./move-ends.ts";
import { whyUnmovable } from "./why-unmovable.ts";

export interface CheckMoveDeps extends EndDeps {
  readonly store: Pick<Store, "stamps" | "moves">;
  readonly openMover: OpenMover;
  readonly clock: Clock;
}

export interface CheckedMove {
  readonly from: string;
  readonly to: string;
  readonly epoch: number;
  readonly check: MoveCheck;
}

const nothing = { warnings: [], tables: [], rows: 0, bytes: 0 } as const;

/**
 * What a move would do now, and what stands in its way. Changes nothing: a fence that is declared and not there yet is a
 * problem of the dry run only if the mover's own check says so.
 * @throws StampyardError as `MoveStore.propose`; STAMP_UNREACHABLE for a database that does not answer
 */
export async function checkMove(deps: CheckMoveDeps, input: MoveInput, signal: AbortSignal): Promise<CheckedMove> {
  const { from, to, epoch } = await deps.store.moves.propose(input);
  const ends = await readEnds(deps, { from, to }, signal);
  const told: readonly MoveProblem[] = whyUnmovable(ends);
  const policy = policyOf(ends);
  const { source, target } = ends;
  if (told.length > 0 || policy === undefined || source.url === undefined || target.url === undefined) {
    return { from, to, epoch, check: { ...nothing, problems: told } };
  }
  const move = dryMove(input, { from, to, epoch }, deps.clock.now());
  await using mover = await deps.openMover({
    move,
    policy,
    source: source.url,
    target: target.url,
    clock: deps.clock,
  });
  return { from, to, epoch, check: await checkSpace(deps.engine, target, await mover.check({ signal }), signal) };
}

/** It has no row in any database, and its name is given to nobody else. */
function dryMove(
  input: MoveInput,
  { from, to, epoch }: { readonly from: string; readonly to: string; readonly epoch: number },
  now: Instant,
): Move {
  return {
    id: `mv-dry-run-${now.toString(36)}`,
    tenant: input.tenant,
    from,
    to,
    epoch,
    mode: input.mode ?? "capture",
    verify: input.verify ?? "incremental",
    goal: "finish",
    state: { kind: "checking" },
    maxPauseMs: input.maxPauseMs ?? defaultMaxPauseMs,
    restMs: input.restMs ?? defaultRestMs,
    report: {},
  };
}
