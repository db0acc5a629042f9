import type { Instant } from "../ports.ts";
import {
  type HomeSeen,
  type Move,
  type MoveAction,
  type MovePlan,
  type MoveSeen,
  type MoveState,
  mostSwitches,
} from "./move.ts";

type Of<K extends MoveState["kind"]> = Extract<MoveState, { kind: K }>;

/** Captured changes below which the rest fits into the pause. */
const smallLag = 200;

/**
 * Decides one turn of a move. Reads nothing, changes nothing: same inputs, same plan. What the source's row says wins over
 * the recorded state: once it has decided, the move only goes forward (D12).
 */
export function planMove(move: Move, seen: MoveSeen, now: Instant): MovePlan {
  const { state } = move;
  if (state.kind === "done" || state.kind === "aborted") return { next: state, actions: [] };
  const blind = blindness(move, seen);
  if (blind !== undefined) return { next: state, actions: [], waitingOn: blind };
  if (isDecided(move, seen.source)) return planForward(move, seen, now);
  if (isAfterDecision(state)) {
    // Its rows are the only whole copy, or a person has written the row: nothing here may guess.
    const waitingOn = `the row of tenant ${move.tenant} in stamp ${move.from}, which does not say any more that it moved`;
    return { next: state, actions: [], waitingOn };
  }
  if (state.kind === "aborting") return planAbort(move, state, seen);
  if (move.goal === "abort") return aborting("it was asked for");
  const lost = lossOfSource(move, seen.source);
  if (lost !== undefined) return aborting(lost);
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

/** The source's own row is the decision record, and nothing else is. */
export function isDecided(move: Pick<Move, "id">, source: HomeSeen): boolean {
  return source.kind === "present" && source.state === "moved" && source.moveId === move.id;
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
  if (!isImporting(move, seen.target)) actions.push({ kind: "admit" });
  const isArmed = isArmedBy(move, seen.source);
  if (!isArmed) actions.push({ kind: "arm" });
  // What was copied while nothing captured changes may be old: admission begins anew.
  if (!isArmed && seen.isCopied) return { next: state, actions: [{ kind: "forget" }] };
  if (!seen.isCopied)
    return { next: state, actions: [...actions, { kind: "copy" }], waitingOn: "its rows to be copied" };
  if (seen.lag > smallLag) {
    return { next: state, actions: [{ kind: "follow" }], waitingOn: `${seen.lag} captured changes to be brought` };
  }
  if (seen.heldBack !== undefined) return { next: state, actions: [{ kind: "follow" }], waitingOn: seen.heldBack };
  return { next: { kind: "switching", attempt: 1, retryAt: now }, actions: [] };
}

function planSwitching(move: Move, state: Of<"switching">, seen: MoveSeen, now: Instant): MovePlan {
  // The fence opened by itself, by its deadline: captured until then, so only what followed is unknown. Begin again.
  if (!isArmedBy(move, seen.source) || !isImporting(move, seen.target))
    return { next: { kind: "copying" }, actions: [] };
  if (state.attempt > mostSwitches) return aborting(`it could not be switched in ${mostSwitches} attempts`);
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
      if (seen.isEqual === undefined)
        return { next: state, actions: [{ kind: "compare" }], waitingOn: "both copies to be compared" };
      if (!seen.isEqual) return { next: { kind: "disputed", cause: "the copies differ" }, actions: [] };
      return { next: { kind: "resting", until: now + move.restMs }, actions: [] };
    case "disputed":
      if (seen.isEqual === true) return { next: { kind: "verifying" }, actions: [] };
      return { next: state, actions: [], waitingOn: `a person: ${state.cause}, and nothing is erased` };
    case "resting":
      if (now < state.until) return { next: state, actions: [], waitingOn: "the end of its way back" };
      return { next: { kind: "erasing" }, actions: [] };
    case "erasing":
      // Only on proof (I18).
      if (seen.isEqual !== true)
        return { next: state, actions: [{ kind: "compare" }], waitingOn: "the proof that both copies are equal" };
      if (!seen.isErased)
        return { next: state, actions: [{ kind: "erase" }], waitingOn: "the source's copy to be erased" };
      return { next: { kind: "done" }, actions: [] };
    default:
      return { next: { kind: "opening" }, actions: [] };
  }
}

function planOpening(move: Move, state: Of<"opening">, seen: MoveSeen): MovePlan {
  if (!isOpen(move, seen.target)) return { next: state, actions: [{ kind: "open" }], waitingOn: "its target to open" };
  if (!seen.isPublished)
    return { next: state, actions: [{ kind: "publish" }], waitingOn: "every router to know its new home" };
  return { next: { kind: "verifying" }, actions: [{ kind: "release" }] };
}

/** The tenant goes back to its source before anything of it is forgotten (I21, I22). */
function planAbort(move: Move, state: Of<"aborting">, seen: MoveSeen): MovePlan {
  const isHeld = seen.source.kind === "present" && seen.source.moveId === move.id;
  if (isHeld || seen.lag > 0)
    return { next: state, actions: [{ kind: "reopen" }, { kind: "release" }], waitingOn: "its source to open" };
  if (isImporting(move, seen.target))
    return { next: state, actions: [{ kind: "forget" }], waitingOn: "its target to forget it" };
  return { next: { kind: "aborted", cause: state.cause }, actions: [{ kind: "release" }] };
}

function aborting(cause: string): MovePlan {
  return { next: { kind: "aborting", cause }, actions: [] };
}

function isArmedBy(move: Move, source: HomeSeen): boolean {
  return (
    source.kind === "present" && source.moveId === move.id && (source.state === "active" || source.state === "fenced")
  );
}

function isImporting(move: Move, target: HomeSeen): boolean {
  return target.kind === "present" && target.state === "importing" && target.moveId === move.id;
}

/** Also when the application has since changed it there: suspended, or on its way out. */
function isOpen(move: Move, target: HomeSeen): boolean {
  return target.kind === "present" && target.epoch > move.epoch && target.state !== "importing";
}
