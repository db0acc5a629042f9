import type { MoveView } from "@stampyard/api";
import { amount } from "../../output/bar.ts";
import type { NodeState, ProgressNode } from "../../output/progress-tree.ts";
import { bytesText, counted, durationText } from "../../output/quantity.ts";

type Phase = MoveView["phase"];

/** Nothing more happens but by time or by a person: the tenant is served by one stamp again. */
export function isSettled({ phase }: Pick<MoveView, "phase">): boolean {
  return ["resting", "erasing", "done", "disputed", "aborted", "returned"].includes(phase);
}

export function hasEnded({ phase }: Pick<MoveView, "phase">): boolean {
  return ["done", "aborted", "returned"].includes(phase);
}

/** What it does now and how far it is, or what it waits for. */
export function statusText(move: MoveView): string {
  const { phase, setback, progress, waitingOn, cause } = move;
  if (setback !== undefined) return `${phase}, after attempt ${setback.attempt} failed: ${setback.cause}`;
  if (progress !== undefined && !isSettled(move)) return `${phase}: ${progressText(progress)}`;
  const why = cause ?? waitingOn;
  return why === undefined ? phase : `${phase}: ${why}`;
}

const stepWords = { copy: "copies", follow: "brings changes", verify: "compares", erase: "erases" } as const;

/** `copies public.notes, 1 of 3 tables done, 1,200 of 5,000 rows, 2.1 MB, 800 rows/s, 5 s left`. */
export function progressText(progress: NonNullable<MoveView["progress"]>): string {
  const { step, table, tablesDone, tables, rows, ofRows, bytes, rowsPerSecond, etaMs, lag, waitingOn } = progress;
  const parts = [
    [stepWords[step], ...(table === undefined ? [] : [table])].join(" "),
    ...(tables > 0 ? [`${tablesDone} of ${counted(tables, "table")} done`] : []),
    ofRows > 0 ? `${amount(rows)} of ${counted(Math.max(rows, ofRows), "row")}` : counted(rows, "row"),
    ...(bytes > 0 ? [bytesText(bytes)] : []),
    ...(rowsPerSecond > 0 ? [`${amount(Math.round(rowsPerSecond))} rows/s`] : []),
    ...(etaMs === undefined || etaMs === 0 ? [] : [`${durationText(etaMs)} left`]),
    ...(lag === undefined || lag === 0 ? [] : [`${counted(lag, "change")} behind`]),
    ...(waitingOn === undefined ? [] : [`waits for ${waitingOn}`]),
  ];
  return parts.join(", ");
}

/** The steps in the order in which they are taken, with the phases in which each is at work. */
const steps: readonly { readonly label: string; readonly phases: readonly Phase[] }[] = [
  { label: "check both databases", phases: ["requested", "checking"] },
  { label: "copy, follow, compare", phases: ["copying"] },
  { label: "switch", phases: ["switching"] },
  { label: "open on the target", phases: ["opening", "verifying"] },
];

/** One line for the move; below it, where there is room, one for each step. */
export function moveNode(
  move: MoveView,
  options: { readonly withSteps: boolean; readonly detail: string },
): ProgressNode {
  const label = `${move.tenant} from ${move.from} to ${move.to}`;
  const root = { label, state: stateOf(move), detail: options.detail };
  if (!options.withSteps || isGivenUp(move)) return root;
  const at = steps.findIndex(({ phases }) => phases.includes(move.phase));
  const children = steps.map((step, index): ProgressNode => {
    if (at === -1 || index < at) return { label: step.label, state: "done" };
    if (index > at) return { label: step.label, state: "waiting" };
    const { attempt, progress, waitingOn } = move;
    const which = attempt === undefined || attempt < 2 ? [] : [`attempt ${attempt}`];
    const detail = [...which, progress === undefined ? waitingOn : progressText(progress)].filter(Boolean).join(", ");
    return { label: step.label, state: "working", ...(detail === "" ? {} : { detail }) };
  });
  return { ...root, children };
}

function isGivenUp({ phase }: MoveView): boolean {
  return phase === "aborting" || phase === "aborted" || phase === "disputed";
}

function stateOf(move: MoveView): NodeState {
  // That it was asked for is no failure.
  if (move.phase === "disputed" || (move.phase === "aborted" && move.goal !== "abort")) return "failed";
  return isSettled(move) ? "done" : "working";
}
