import type { MoveView } from "@stampyard/api";
import { bytesText, counted, durationText } from "../../output/quantity.ts";
import { age, type Cell, fields, table } from "../../output/table.ts";
import { progressText } from "./status-text.ts";

export function moveTable(moves: readonly MoveView[], nowMs: number): string {
  if (moves.length === 0) return "No moves\n";
  return table(
    ["move", "tenant", "from", "to", "phase", "write pause", "age", "waiting on"],
    moves.map((move) => [
      move.id,
      move.tenant,
      move.from,
      move.to,
      move.phase,
      move.pauseMs === undefined ? undefined : durationText(move.pauseMs),
      age(Date.parse(move.createdAt), nowMs),
      move.setback?.cause ?? move.cause ?? move.waitingOn,
    ]),
  );
}

/** Everything about one move, and what can be done with it now. */
export function moveText(move: MoveView): string {
  const { options, progress, setback, report } = move;
  const head = fields([
    ["Move", move.id],
    ["Tenant", move.tenant],
    ["From", move.from],
    ["To", move.to],
    ["Takes back", move.returns],
    ["Campaign", move.campaign],
    ["Phase", move.goal === "abort" && move.phase !== "aborted" ? `${move.phase}, to be aborted` : move.phase],
    ["Cause", move.cause],
    ["Waiting on", move.waitingOn],
    ["Progress", progress === undefined ? undefined : progressText(progress)],
    [
      "Setback",
      setback === undefined ? undefined : `attempt ${setback.attempt}, again at ${setback.retryAt}: ${setback.cause}`,
    ],
    ["Way back", wayBackText(move)],
    ["Options", optionsText(options)],
    ...reportFields(report),
    ["Write pause", pauseText(move)],
    ["Begun", move.createdAt],
    ["Changed", move.updatedAt],
  ]);
  return `${head}${switchesText(report)}${differencesText(report)}${nextText(move)}`;
}

/** `93 ms (closed for 51 ms, 12 rows brought meanwhile, at try 2)`; undefined before the source has decided. */
export function pauseText({ pauseMs, report }: Pick<MoveView, "pauseMs" | "report">): string | undefined {
  const tries = report.switches ?? [];
  const last = tries.findLast(({ outcome }) => outcome === "decided");
  if (last === undefined) return undefined;
  const parts = [
    `closed for ${durationText(last.fencedMs)}`,
    `${counted(last.rows, "row")} brought or compared meanwhile`,
    ...(tries.length > 1 ? [`at try ${tries.length}`] : []),
  ];
  return pauseMs === undefined ? parts.join(", ") : `${durationText(pauseMs)} (${parts.join(", ")})`;
}

function wayBackText({ phase, wayBackUntil, options }: MoveView): string | undefined {
  if (wayBackUntil !== undefined) return `until ${wayBackUntil}`;
  if (phase === "disputed") return "open until a person decides";
  return options.restMs === 0 ? "none" : undefined;
}

function optionsText({ mode, verify, maxPauseMs, restMs }: MoveView["options"]): string {
  const wayBack = restMs === 0 ? "no way back" : `way back ${durationText(restMs)}`;
  return `${mode}, verify ${verify}, pause at most ${durationText(maxPauseMs)}, ${wayBack}`;
}

function reportFields(report: MoveView["report"]): [string, Cell][] {
  const { expected, copied, followed, compared, drainMs, rebuild, erased } = report;
  const rows: [string, Cell][] = [];
  if (expected !== undefined) {
    const { tables, rows: count, bytes } = expected;
    rows.push(["Expected", `${counted(tables, "table")}, ${counted(count, "row")}, ${bytesText(bytes)}`]);
  }
  if (copied !== undefined) {
    const rate = copied.ms > 0 ? ` (${bytesText((copied.bytes / copied.ms) * 1_000)}/s)` : "";
    const what = `${counted(copied.rows, "row")}, ${bytesText(copied.bytes)} in ${durationText(copied.ms)}`;
    rows.push(["Copied", `${what}${rate}`]);
  }
  if (followed !== undefined) {
    rows.push(["Followed", `${counted(followed.changes, "change")} in ${counted(followed.rounds, "round")}`]);
  }
  if (compared !== undefined) {
    const found = compared.isEqual ? "equal" : "not equal";
    rows.push(["Compared", `${found}, ${counted(compared.rows, "row")} (${compared.policy})`]);
  }
  if (drainMs !== undefined) rows.push(["Drain hook", durationText(drainMs)]);
  if (rebuild !== undefined) rows.push(["Rebuild hook", rebuildText(rebuild)]);
  if (erased !== undefined) {
    const count = erased.tables.reduce((sum, one) => sum + one.rows, 0);
    rows.push(["Erased", `${counted(count, "row")} of ${counted(erased.tables.length, "table")} at ${erased.at}`]);
  }
  return rows;
}

function rebuildText({ attempts, ms, cause, retryAt }: NonNullable<MoveView["report"]["rebuild"]>): string {
  if (ms !== undefined) return durationText(ms);
  const again = retryAt === undefined ? "" : `, again at ${retryAt}`;
  return `not done after ${counted(attempts, "attempt")}${again}${cause === undefined ? "" : `: ${cause}`}`;
}

/** Only when the first try was not the last: then each has a reason. */
function switchesText({ switches = [] }: MoveView["report"]): string {
  if (switches.every(({ outcome }) => outcome === "decided")) return "";
  const rows = switches.map((one) => [
    one.at,
    one.outcome === "decided" ? "decided" : "opened again",
    durationText(one.holdMs),
    durationText(one.fencedMs),
    one.cause,
  ]);
  return `\n${table(["switch at", "outcome", "hold", "closed", "cause"], rows)}`;
}

function differencesText({ compared }: MoveView["report"]): string {
  if (compared === undefined || compared.differences.length === 0) return "";
  const rows = compared.differences.map(({ table: name, key, what }) => [name, key, what]);
  return `\n${table(["table", "key", "on the target"], rows)}`;
}

function nextText({ id, phase, tenant, goal }: MoveView): string {
  const lines: Partial<Record<MoveView["phase"], readonly string[]>> = {
    resting: [
      `Take it back, with its new writes: stampyard move rollback ${id}`,
      `Keep it and erase the old copy:    stampyard move finish ${id}`,
    ],
    disputed: [
      `Take it back, with its new writes: stampyard move rollback ${id}`,
      `Accept the target as it is:        stampyard move finish ${id} --accept`,
    ],
    aborted: [`Ask what stands in its way: stampyard tenant move ${tenant} --to STAMP --dry-run`],
  };
  const early = ["requested", "checking", "copying", "switching"].includes(phase) && goal !== "abort";
  const next = early ? [`Give it up: stampyard move abort ${id}`] : lines[phase];
  return next === undefined ? "" : `\n${next.join("\n")}\n`;
}
