import { type Command, Option } from "commander";
import type { MoveProposalView } from "@stampyard/api";
import { command, type Run } from "../../define.ts";
import { type ExitCode, exitCode } from "../../exit-codes.ts";
import { bytesText, counted, durationIn, durationText } from "../../output/quantity.ts";
import { fields, table } from "../../output/table.ts";
import { concludeMove, followMove } from "../move/follow-move.ts";
import { longestPauseMs, longestWayBackMs, shortestPauseMs } from "../move/limits.ts";
import { addWaitOptions, type WaitOptions } from "../move/wait-options.ts";

interface Options extends WaitOptions {
  readonly to?: string;
  readonly toPool?: string;
  readonly dryRun?: boolean;
  readonly mode: "capture" | "stream";
  readonly verify: "incremental" | "before" | "after";
  readonly maxPause: number;
  readonly wayBack: number;
  readonly reason?: string;
}

export const tenantMove = command<Options>({
  usage: "move <tenant>",
  summary: "Take a tenant to another stamp while it is in use, and lose nothing",
  about:
    "Its rows are copied while it is served; then its writes pause, well under a second as a rule, and it goes on over there. Until the way back is over, move rollback returns it with its new writes. Ctrl-C ends the looking, not the move.",
  completes: ["tenant"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: moveOptions,
  examples: [
    ["tenant move acme --to shared-2 --dry-run", "who goes where, every table, what stands in the way, how long"],
    ["tenant move acme --to shared-2", "do it, and show how it goes"],
    [
      "tenant move acme --to-pool gold --max-pause 500ms --no-wait",
      "to the best stamp of a pool; look with move watch acme",
    ],
  ],
  run: async (run) => {
    const { to, toPool, dryRun, mode, verify, maxPause, wayBack, reason, wait, timeout } = run.options;
    const tenant = run.args[0] ?? "";
    const client = await run.client();
    const answer = await client.moveCreate({
      query: { dryRun: dryRun === true },
      body: {
        tenant,
        ...(to === undefined ? {} : { to }),
        ...(toPool === undefined ? {} : { toPool }),
        mode,
        verify,
        maxPauseMs: maxPause,
        restMs: wayBack,
        ...(reason === undefined ? {} : { reason }),
      },
      signal: run.io.signal,
    });
    if (answer.dryRun) return tellProposal(run, answer.proposal);
    const begun = answer.move;
    if (!wait) {
      run.emit(begun, () => `Move ${begun.id} takes tenant ${tenant} from ${begun.from} to ${begun.to}\n`);
      run.say(`See how it goes: stampyard move watch ${begun.id}`);
      return exitCode.ok;
    }
    return concludeMove(run, await followMove(run, client, begun, { timeoutMs: timeout * 1_000 }));
  },
});

function moveOptions(c: Command): Command {
  c.addOption(new Option("--to <stamp>", "the stamp that it goes to").conflicts("toPool"))
    .option("--to-pool <pool>", "or the pool that finds one (default: another stamp of its own pool)")
    .option("--dry-run", "say what would happen, and change nothing; exit code 1 if something stands in the way")
    .addOption(
      new Option("--mode <mode>", "how rows travel: changed keys are captured and copied again, or by replication")
        .choices(["capture", "stream"])
        .default("capture"),
    )
    .addOption(
      new Option(
        "--verify <when>",
        "compare both copies before the switch and in the pause only what changed; or wholly in the pause; or after it",
      )
        .choices(["incremental", "before", "after"])
        .default("incremental"),
    )
    .option(
      "--max-pause <time>",
      "longest write pause; after it the source opens again",
      durationIn("max-pause", shortestPauseMs, longestPauseMs),
      2_000,
    )
    .option(
      "--way-back <time>",
      "how long the source keeps its copy, for move rollback; 0 = not at all",
      durationIn("way-back", 0, longestWayBackMs),
      3_600_000,
    )
    .option("--reason <text>", "why, for the audit");
  return addWaitOptions(c, "when it is served by its new stamp");
}

/** Exit code 1 when the move would be refused, so that a script can ask first. */
function tellProposal<O>(run: Run<O>, proposal: MoveProposalView): ExitCode {
  run.emit(proposal, () => proposalText(proposal));
  return proposal.problems.length === 0 ? exitCode.ok : exitCode.error;
}

export function proposalText(proposal: MoveProposalView): string {
  const { tenant, from, to, epoch, tables, rows, bytes, estimate, problems, warnings } = proposal;
  const basis =
    estimate.basedOn === 0 ? "assumed, no move was measured yet" : `by the last ${counted(estimate.basedOn, "move")}`;
  const head = fields([
    ["Tenant", tenant],
    ["From", from],
    ["To", to],
    ["Epoch", `${epoch}, then ${epoch + 1}`],
    ["Size", tables.length === 0 ? undefined : `${counted(rows, "row")}, ${bytesText(bytes)}`],
    [
      "Takes about",
      `${durationText(estimate.totalMs)}, of which writes pause ${durationText(estimate.pauseMs)} (${basis})`,
    ],
  ]);
  const list =
    tables.length === 0
      ? ""
      : `\n${table(
          ["table", "kind", "rows", "size", "by"],
          tables.map((one) => [
            one.table,
            one.kind,
            one.kind === "tenant" ? one.rows : undefined,
            one.kind === "tenant" ? bytesText(one.bytes) : undefined,
            one.via?.join(" > "),
          ]),
        )}`;
  const end =
    problems.length === 0
      ? "\nNothing stands in its way; nothing was changed\n"
      : `\n${counted(problems.length, "problem")}: it would be refused, and nothing was changed\n`;
  return `${head}${list}${findings("problem", problems)}${findings("warning", warnings)}${end}`;
}

function findings(word: string, found: MoveProposalView["problems"]): string {
  return found.map(({ where, what, mend }) => `\n${word}: ${where}: ${what}\n  try: ${mend}\n`).join("");
}
