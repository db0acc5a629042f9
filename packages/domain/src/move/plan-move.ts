import type { Instant } from "../ports.ts";
import {
  endedMoves,
  type HomeSeen,
  type Move,
  type MoveAction,
  type MovePlan,
  type MoveSeen,
  type MoveState,
  mostSetbacks,
  mostSwitches,
} from "./move.ts";

type Of<K extends MoveState["kind"]> = Extract<MoveState, { kind: K }>;

/**
 * Captured changes below which the rest fits into the pause. A busy tenant leaves hundreds between any two looks: with
 * less it would be followed for ever.
 */
const smallLag = 1_000;

/**
 * Decides one turn of a move. Reads nothing, changes nothing: same inputs, same plan. What the source's row says wins over
 * the recorded state: once it has decided, the move only goes forward (D12).
 */
export function planMove(move: Move, seen: MoveSeen, now: Instant): MovePlan {
  const { state } = move;
  if (hasEnded(state)) return { next: state, actions: [] };
  if (isResting(state) && seen.wayBack !== undefined) return planReturn(state, seen.wayBack);
  const { setback } = move;
  const isWaiting = setback !== undefined && now < setback.retryAt;
  if (isWaiting && !(move.goal === "abort" && canAbort(state))) {
    return { next: state, actions: [], waitingOn: `retry of: ${setback.cause}` };
  }
  // The source opens whatever has become of the target (I21).
  if (state.kind === "aborting" && isArmedBy(move, seen.source)) return reopening(state);
  const blind = blindness(move, seen);
  if (blind !== undefined) return { next: state, actions: [], waitingOn: blind };
  if (isDecided(move, seen.source)) return planForward(move, seen, now);
  if (isAfterDecision(state)) {
    // Its rows are the only whole copy, or a person has written the row: nothing here may guess.
    const waitingOn = `the row of tenant ${move.tenant} in stamp ${move.from}, which does not say any more that it moved`;
    return { next: state, actions: [], waitingOn };
  }
  if (state.kind === "aborting") return planAbort(move, state, seen);
  const cause = causeToAbort(move, seen);
  if (cause !== undefined) return aborting(cause);
  switch (state.kind) {
    case "requested":
      return { next: { kind: "checking" }, actions: [] };
    case "checking":
      if (seen.heldBack !== undefined) return { next: state, actions: [], waitingOn: seen.heldBack };
      return { next: { kind: "copying" }, actions: [{ kind: "check" }] };
    case "copying":
      return planCopying(move, state, seen, now);
    case "switching":
      return planSwitching(move, state, seen, now);
  }
}

/**
 * After an action failed: a later retry, and the cause for `move show`. Before the decision, what time does not mend
 * ends the move; after it, there is no way but forward, so it is tried for ever.
 */
export function afterMoveFailure(
  move: Move,
  failure: { readonly cause: string; readonly isFinal: boolean },
  now: Instant,
): Pick<Move, "state" | "setback"> {
  const attempt = (move.setback?.attempt ?? 0) + 1;
  const { cause } = failure;
  if (canAbort(move.state) && (failure.isFinal || attempt > mostSetbacks)) {
    return { state: { kind: "aborting", cause } };
  }
  const retryAt = now + Math.min(30_000, 250 * 2 ** Math.min(attempt - 1, 7));
  return { state: move.state, setback: { attempt, cause, retryAt } };
}

/** The source's own row is the decision record, and nothing else is. */
export function isDecided(move: Pick<Move, "id">, source: HomeSeen): boolean {
  return source.kind === "present" && source.state === "moved" && source.moveId === move.id;
}

function hasEnded(state: MoveState): state is Of<"done" | "aborted" | "returned"> {
  return endedMoves.includes(state.kind);
}

function canAbort({ kind }: MoveState): boolean {
  return ["requested", "checking", "copying", "switching"].includes(kind);
}

function isResting({ kind }: MoveState): boolean {
  return kind === "resting" || kind === "disputed";
}

/** The source's copy is the target of another move now; whose, its row says. */
function planReturn(state: MoveState, wayBack: "live" | "decided"): MovePlan {
  if (wayBack === "decided") return { next: { kind: "returned" }, actions: [] };
  return { next: state, actions: [], waitingOn: "the move that takes it back" };
}

function causeToAbort(move: Move, seen: MoveSeen): string | undefined {
  if (move.goal === "abort") return "it was asked for";
  if (seen.tenant !== "staying") return "the tenant is to be suspended or deleted";
  return lossOfSource(move, seen.source);
}

function isAfterDecision(state: MoveState): state is Of<"opening" | "verifying" | "resting" | "erasing" | "disputed"> {
  return ["opening", "verifying", "resting", "erasing", "disputed"].includes(state.kind);
}

function blindness(move: Move, { source, target }: MoveSeen): string | undefined {
  if (source.kind === "unknown") return `the database of stamp ${move.from} to answer: ${source.why}`;
  if (target.kind === "unknown") return `the database of stamp ${move.to} to answer: ${target.why}`;
  return undefined;
}

/** Why the source cannot give the tenant away any more, whoever changed its row. */
function lossOfSource(move: Move, source: HomeSeen): string | undefined {
  if (source.kind !== "present") return `stamp ${move.from} does not know the tenant any more`;
  if (source.epoch !== move.epoch)
    return `stamp ${move.from} has the tenant at epoch ${source.epoch}, not ${move.epoch}`;
  if (source.moveId !== undefined && source.moveId !== move.id) return `move ${source.moveId} has the tenant`;
  if (source.state === "active" || source.state === "fenced") return undefined;
  return `the tenant is ${source.state} in stamp ${move.from}`;
}

function planCopying(move: Move, state: Of<"copying">, seen: MoveSeen, now: Instant): MovePlan {
  const actions: MoveAction[] = [];
  const isAdmitted = isImporting(move, seen.target);
  if (!isAdmitted) actions.push({ kind: "admit" });
  const isArmed = isArmedBy(move, seen.source);
  if (!isArmed) actions.push({ kind: "arm" });
  // What was copied while nothing captured changes may be old: admission begins anew. A way back was captured all along.
  if (!isArmed && seen.isCopied && isAdmitted && !isWatchedBy(move, seen.source)) {
    return { next: state, actions: [{ kind: "forget" }] };
  }
  if (!seen.isCopied)
    return { next: state, actions: [...actions, { kind: "copy" }], waitingOn: "its rows to be copied" };
  if (actions.length > 0) return { next: state, actions, waitingOn: "its changes to be captured" };
  if (seen.lag > smallLag) {
    return { next: state, actions: [{ kind: "follow" }], waitingOn: `${seen.lag} captured changes to be brought` };
  }
  if (move.verify === "incremental" && !seen.isCompared) {
    return { next: state, actions: [{ kind: "verify" }], waitingOn: "both copies to be compared" };
  }
  if (seen.heldBack !== undefined) return { next: state, actions: [{ kind: "follow" }], waitingOn: seen.heldBack };
  // Tries before a copy that had to begin anew count, too: or a tenant that cannot be switched would be copied for ever.
  const attempt = (move.report.switches?.length ?? 0) + 1;
  return { next: { kind: "switching", attempt, retryAt: now }, actions: [] };
}

function planSwitching(move: Move, state: Of<"switching">, seen: MoveSeen, now: Instant): MovePlan {
  // The fence opened by itself, by its deadline: captured until then, so only what followed is unknown. Begin again.
  if (!isArmedBy(move, seen.source) || !isImporting(move, seen.target))
    return { next: { kind: "copying" }, actions: [] };
  if (state.attempt > mostSwitches) {
    const last = move.report.switches?.at(-1)?.cause;
    const why = last === undefined ? "" : `; the last one: ${last}`;
    return aborting(`it could not be switched in ${mostSwitches} attempts${why}`);
  }
  if (now < state.retryAt)
    return { next: state, actions: [{ kind: "follow" }], waitingOn: "the next try of the switch" };
  const retryAt = now + 500 * 2 ** Math.min(state.attempt, 6);
  return {
    next: { kind: "switching", attempt: state.attempt + 1, retryAt },
    actions: [{ kind: "switch" }],
    waitingOn: "its writers to pause",
  };
}

/** After the decision, whatever the recorded state: each step looks at what is there. */
function planForward(move: Move, seen: MoveSeen, now: Instant): MovePlan {
  const { state } = move;
  switch (state.kind) {
    case "opening":
      return planOpening(move, state, seen);
    case "verifying":
      return planVerifying(move, state, seen, now);
    case "disputed":
      if (seen.tenant === "gone") return { next: { kind: "erasing" }, actions: [] };
      if (move.isAccepted === true || seen.isEqual === true) return { next: { kind: "verifying" }, actions: [] };
      return { next: state, actions: [], waitingOn: `a person: ${state.cause}, and nothing is erased` };
    case "resting":
      // Its rows went with the tenant, there and here.
      if (seen.tenant === "gone" || now >= state.until) return { next: { kind: "erasing" }, actions: [] };
      return { next: state, actions: [], waitingOn: "the end of its way back" };
    case "erasing":
      if (!seen.isErased)
        return { next: state, actions: [{ kind: "erase" }], waitingOn: "the source's copy to be erased" };
      return { next: { kind: "done" }, actions: [] };
    default:
      return { next: { kind: "opening" }, actions: [] };
  }
}

/** The only way to where something is erased: by proof, or by a person's word (I18). */
function planVerifying(move: Move, state: Of<"verifying">, seen: MoveSeen, now: Instant): MovePlan {
  const resting = { next: { kind: "resting", until: now + move.restMs }, actions: [] } as const;
  // Of the other policies the source would not have been asked to decide without it.
  if (move.verify !== "after" || move.isAccepted === true || seen.isEqual === true) return resting;
  if (seen.isEqual === false) return { next: { kind: "disputed", cause: "the copies differ" }, actions: [] };
  return { next: state, actions: [{ kind: "compare" }], waitingOn: "both copies to be compared" };
}

function planOpening(move: Move, state: Of<"opening">, seen: MoveSeen): MovePlan {
  if (!isOpen(move, seen.target)) return { next: state, actions: [{ kind: "open" }], waitingOn: "its target to open" };
  if (!seen.isPublished)
    return { next: state, actions: [{ kind: "publish" }], waitingOn: "every router to know its new home" };
  return { next: { kind: "verifying" }, actions: [{ kind: "release" }] };
}

/** The tenant goes back to its source before anything of it is forgotten (I21, I22). */
function planAbort(move: Move, state: Of<"aborting">, seen: MoveSeen): MovePlan {
  // Those of a way back stay captured for the next one.
  if (seen.lag > 0 && move.returns === undefined) return reopening(state);
  if (isImporting(move, seen.target))
    return { next: state, actions: [{ kind: "forget" }], waitingOn: "its target to forget it" };
  return { next: { kind: "aborted", cause: state.cause }, actions: [{ kind: "release" }] };
}

function reopening(state: Of<"aborting">): MovePlan {
  return { next: state, actions: [{ kind: "reopen" }, { kind: "release" }], waitingOn: "its source to open" };
}

function aborting(cause: string): MovePlan {
  return { next: { kind: "aborting", cause }, actions: [] };
}

function isArmedBy(move: Move, source: HomeSeen): boolean {
  if (source.kind !== "present" || source.moveId !== move.id || source.isWatched === true) return false;
  return source.state === "active" || source.state === "fenced";
}

function isWatchedBy(move: Move, source: HomeSeen): boolean {
  return source.kind === "present" && source.moveId === move.id && source.isWatched === true;
}

function isImporting(move: Move, target: HomeSeen): boolean {
  return target.kind === "present" && target.state === "importing" && target.moveId === move.id;
}

/** Also when the application has since changed it there: suspended, or on its way out. */
function isOpen(move: Move, target: HomeSeen): boolean {
  return target.kind === "present" && target.epoch > move.epoch && target.state !== "importing";
}
