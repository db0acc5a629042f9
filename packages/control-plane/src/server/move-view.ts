import type { MoveProposalView, MoveView, TenantView } from "@stampyard/api";
import type {
  Move,
  MoveCheck,
  MoveEstimate,
  MovePhase,
  MoveReport,
  MoveState,
  RebuildReport,
  SwitchReport,
} from "@stampyard/domain";
import type { Revisioned } from "../store/port.ts";
import type { MoveProgressNote } from "./events.ts";
import { time } from "./views.ts";

/** The steps that have a progress, by the phase that takes them; what was told of another one is over. */
const stepsOf: Partial<Record<MovePhase, readonly MoveProgressNote["progress"]["step"][]>> = {
  copying: ["copy", "follow", "verify"],
  switching: ["follow"],
  verifying: ["verify"],
  erasing: ["erase"],
};

export function moveView(row: Revisioned<Move>, note?: MoveProgressNote): MoveView {
  const { value: move, revision, createdAt, updatedAt } = row;
  const { id, tenant, from, to, epoch, state, goal, setback, waitingOn, returns, campaign } = move;
  const pauseMs = decidingSwitch(move.report)?.pauseMs;
  return {
    id,
    tenant,
    from,
    to,
    epoch,
    phase: state.kind,
    goal,
    ...detailOf(state),
    ...(setback === undefined ? {} : { setback: { ...setback, retryAt: time(setback.retryAt) } }),
    ...(waitingOn === undefined ? {} : { waitingOn }),
    options: { mode: move.mode, verify: move.verify, maxPauseMs: move.maxPauseMs, restMs: move.restMs },
    ...(returns === undefined ? {} : { returns }),
    ...(campaign === undefined ? {} : { campaign }),
    accepted: move.isAccepted === true,
    ...(pauseMs === undefined ? {} : { pauseMs }),
    report: reportView(move.report),
    ...(note === undefined || !isOf(note, move) ? {} : { progress: { ...note.progress, at: note.at } }),
    revision,
    createdAt: time(createdAt),
    updatedAt: time(updatedAt),
  };
}

function isOf({ progress }: MoveProgressNote, { state, verify }: Move): boolean {
  // What was compared before the switch is not compared again.
  if (state.kind === "verifying" && verify !== "after") return false;
  return stepsOf[state.kind]?.includes(progress.step) === true;
}

/** What a tenant shows of its move. */
export function tenantMoveView({ value: move }: Revisioned<Move>): NonNullable<TenantView["move"]> {
  const { wayBackUntil } = detailOf(move.state);
  return {
    id: move.id,
    phase: move.state.kind,
    from: move.from,
    to: move.to,
    ...(move.waitingOn === undefined ? {} : { waitingOn: move.waitingOn }),
    ...(wayBackUntil === undefined ? {} : { wayBackUntil }),
  };
}

export function moveProposalView(
  tenant: string,
  found: { readonly from: string; readonly to: string; readonly epoch: number; readonly check: MoveCheck },
  estimate: MoveEstimate,
): MoveProposalView {
  const { from, to, epoch, check } = found;
  return {
    tenant,
    from,
    to,
    epoch,
    problems: check.problems.map((problem) => ({ ...problem })),
    warnings: check.warnings.map((warning) => ({ ...warning })),
    tables: check.tables.map(({ table, kind, rows, bytes, via }) => ({
      table,
      kind,
      rows,
      bytes,
      ...(via === undefined ? {} : { via: [...via] }),
    })),
    rows: check.rows,
    bytes: check.bytes,
    estimate: { ...estimate },
  };
}

function detailOf(state: MoveState): Pick<MoveView, "cause" | "attempt" | "wayBackUntil"> {
  switch (state.kind) {
    case "switching":
      return { attempt: state.attempt };
    case "resting":
      return { wayBackUntil: time(state.until) };
    case "disputed":
    case "aborting":
    case "aborted":
      return { cause: state.cause };
    default:
      return {};
  }
}

function decidingSwitch({ switches }: MoveReport): SwitchReport | undefined {
  return switches?.findLast(({ outcome }) => outcome === "decided");
}

function reportView(report: MoveReport): MoveView["report"] {
  const { expected, copied, followed, compared, switches, drainMs, rebuild, erased } = report;
  return {
    ...(expected === undefined ? {} : { expected: { ...expected } }),
    ...(copied === undefined ? {} : { copied: { ...copied } }),
    ...(followed === undefined ? {} : { followed: { ...followed } }),
    ...(compared === undefined
      ? {}
      : { compared: { ...compared, differences: compared.differences.map((difference) => ({ ...difference })) } }),
    ...(switches === undefined ? {} : { switches: switches.map(({ at, ...rest }) => ({ at: time(at), ...rest })) }),
    ...(drainMs === undefined ? {} : { drainMs }),
    ...(rebuild === undefined ? {} : { rebuild: rebuildView(rebuild) }),
    ...(erased === undefined
      ? {}
      : { erased: { at: time(erased.at), tables: erased.tables.map((table) => ({ ...table })) } }),
  };
}

function rebuildView({ retryAt, ...rest }: RebuildReport): NonNullable<MoveView["report"]["rebuild"]> {
  return { ...rest, ...(retryAt === undefined ? {} : { retryAt: time(retryAt) }) };
}
