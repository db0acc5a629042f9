import {
  afterMoveFailure,
  type Clock,
  type Move,
  type MoveAction,
  type MovePlan,
  type Mover,
  type MoveSeen,
  planMove,
  StampyardError,
} from "@stampyard/domain";

export interface DriveOptions {
  readonly clock: Clock;
  /** A mover as a new process would open it: nothing is remembered but what is in the databases. */
  readonly open: (move: Move) => Promise<Mover>;
  /** Ends the drive before the next turn. @default in the first state that rests, or is over */
  readonly until?: (move: Move) => boolean;
  /** Called before each action; its answer says what becomes of the process that performs it. */
  readonly onAction?: (action: Step, move: Move) => Promise<Fate> | Fate;
  /** What the store would say; the directory is published by its action. */
  readonly seen?: Partial<Pick<MoveSeen, "tenant" | "wayBack">>;
}

/** An action of the planner, or a part of its switch. */
export type Step = MoveAction["kind"] | "fence" | "settle" | "flip";

/** `kill` = the process dies in the middle, this many milliseconds after the call; `twice` = it performs it again. */
export type Fate = "live" | "twice" | { readonly killAfterMs: number };

const killed = new Error("killed");
const patienceMs = 30_000;

/**
 * Turns of a move as the control plane makes them, with the real planner and a real mover, and without a store. It is
 * what the contract of movers is told by.
 */
export async function driveMove(begun: Move, options: DriveOptions): Promise<Move> {
  const { clock, until = (move) => ["resting", "done", "aborted"].includes(move.state.kind) } = options;
  const deadline = clock.now() + patienceMs;
  let move = begun;
  let isPublished = false;
  let mover = await options.open(move);
  try {
    while (!until(move)) {
      if (clock.now() > deadline) throw new Error(`Move ${move.id} came no further than ${JSON.stringify(move)}`);
      const seen: MoveSeen = { ...(await mover.look()), isPublished, tenant: "staying", ...options.seen };
      const plan = planMove(move, seen, clock.now());
      try {
        for (const action of plan.actions) {
          if (action.kind === "publish") isPublished = true;
          else if (action.kind !== "release") await perform(mover, action, move, options);
        }
        const { setback: _, ...rest } = move;
        const isSame = plan.actions.length === 0 && plan.next.kind === move.state.kind;
        move = { ...(isSame ? move : rest), state: plan.next };
        if (isSame) await clock.sleep(5);
      } catch (caught) {
        if (caught === killed) {
          await mover[Symbol.asyncDispose]();
          mover = await options.open(move);
        } else {
          move = afterFailure(move, plan, caught, clock);
        }
      }
    }
    return move;
  } finally {
    await mover[Symbol.asyncDispose]();
  }
}

/** Time is short in tests: what is to be tried again is tried soon. */
function afterFailure(move: Move, { actions, next }: MovePlan, caught: unknown, clock: Clock): Move {
  const error = StampyardError.from(caught);
  // What nobody foresaw is a fault of the mover, and no reason to try again.
  if (error.code === "INTERNAL") throw caught;
  const failure = {
    cause: [error.message, ...error.problems.map(({ message }) => message)].join("; "),
    isFinal: ["MOVE_REFUSED", "NOT_EQUAL"].includes(error.code),
  };
  const after = afterMoveFailure(move, failure, clock.now());
  const isSwitch = actions.some((action) => action.kind === "switch");
  const soon = after.setback === undefined ? {} : { setback: { ...after.setback, retryAt: clock.now() + 20 } };
  const state =
    isSwitch && !failure.isFinal && next.kind === "switching" ? { ...next, retryAt: clock.now() + 20 } : after.state;
  const { setback: _, ...rest } = move;
  return { ...rest, state, ...(isSwitch ? {} : soon) };
}

async function perform(mover: Mover, action: MoveAction, move: Move, options: DriveOptions): Promise<void> {
  if (action.kind !== "switch") return await once(mover, action.kind, move, options);
  try {
    await once(mover, "fence", move, options);
    await once(mover, "settle", move, options);
    await once(mover, "flip", move, options);
  } catch (caught) {
    if (caught === killed) throw caught;
    const call = { signal: new AbortController().signal };
    await (mover.unfence?.(call) ?? mover.reopen(call));
    throw caught;
  }
}

async function once(mover: Mover, step: Step, move: Move, options: DriveOptions): Promise<void> {
  const fate = (await options.onAction?.(step, move)) ?? "live";
  const stop = new AbortController();
  const call = { signal: stop.signal };
  if (typeof fate === "string") {
    await callOf(mover, step, call, false);
    if (fate === "twice") await callOf(mover, step, call, true);
    return;
  }
  const death = options.clock.sleep(fate.killAfterMs).then(() => stop.abort(killed));
  const done = callOf(mover, step, call, false).catch((caught: unknown) => {
    if (!stop.signal.aborted) throw caught;
  });
  await Promise.all([done, death]);
  throw killed;
}

async function callOf(mover: Mover, step: Step, call: { readonly signal: AbortSignal }, isRepeat: boolean) {
  switch (step) {
    case "check": {
      const { problems } = await mover.check(call);
      if (problems.length === 0) return;
      throw new StampyardError("MOVE_REFUSED", "The preflight found problems", {
        problems: problems.map(({ where, what, mend }) => ({ message: `${where} ${what}`, mend })),
      });
    }
    case "fence":
      // A closed fence is refused to whoever comes second: which of the two would know its deadline?
      if (isRepeat) return await refused(mover.fence(call));
      return await mover.fence(call);
    case "flip": {
      const hasFlipped = await mover.flip(call);
      if (hasFlipped !== !isRepeat) throw new StampyardError("TIMEOUT", `The flip said ${hasFlipped}`);
      return;
    }
    case "publish":
    case "release":
    case "switch":
      return;
    default:
      await mover[step](call);
  }
}

async function refused(work: Promise<unknown>): Promise<void> {
  const outcome = await work.then(
    () => "was not refused",
    (caught: unknown) => StampyardError.from(caught).code,
  );
  if (outcome !== "WRONG_PHASE") throw new Error(`A second fence ${outcome}`);
}
