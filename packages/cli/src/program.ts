import { Command, CommanderError } from "commander";
import { applyCommand } from "./commands/apply.ts";
import { adviseCommand } from "./commands/advise/advise.ts";
import { auditList } from "./commands/audit-list.ts";
import { campaignCancel, campaignPause, campaignResume } from "./commands/campaign/commands.ts";
import { campaignList } from "./commands/campaign/list.ts";
import { campaignShow } from "./commands/campaign/show.ts";
import { campaignWatch } from "./commands/campaign/watch.ts";
import { capacityForecast } from "./commands/capacity/forecast.ts";
import { capacityShow } from "./commands/capacity/show.ts";
import { capacitySimulate } from "./commands/capacity/simulate.ts";
import { completeCommand } from "./commands/complete.ts";
import { completion } from "./commands/completion.ts";
import { controlplaneBackup } from "./commands/controlplane/backup.ts";
import { controlplaneRecovery } from "./commands/controlplane/recovery.ts";
import { controlplaneRestore } from "./commands/controlplane/restore.ts";
import { directoryAccept } from "./commands/directory-accept.ts";
import { directoryExport } from "./commands/directory-export.ts";
import { doctor } from "./commands/doctor.ts";
import { down } from "./commands/down.ts";
import { fleetCheck, stampCheck } from "./commands/fleet/check.ts";
import { moveAbort } from "./commands/move/abort.ts";
import { moveFinish } from "./commands/move/finish.ts";
import { moveList } from "./commands/move/list.ts";
import { moveRollback } from "./commands/move/rollback.ts";
import { moveShow } from "./commands/move/show.ts";
import { moveWatch } from "./commands/move/watch.ts";
import { planCommand } from "./commands/plan.ts";
import { poolApplyProposal } from "./commands/pool/apply-proposal.ts";
import { poolList } from "./commands/pool/list.ts";
import { poolRebalance } from "./commands/pool/rebalance.ts";
import { poolShow } from "./commands/pool/show.ts";
import { freezeCommand, freezeList, unfreeze } from "./commands/freeze/freeze.ts";
import { releaseDiff } from "./commands/release/diff.ts";
import { releaseList } from "./commands/release/list.ts";
import { releaseMatrix } from "./commands/release/matrix.ts";
import { releasePins, stampPin, stampUnpin, tenantPinRelease, tenantUnpinRelease } from "./commands/release/pins.ts";
import { releaseShow } from "./commands/release/show.ts";
import { residencyReport } from "./commands/residency/report.ts";
import { rolloutAbort } from "./commands/rollout/abort.ts";
import {
  rolloutApprove,
  rolloutPause,
  rolloutPromote,
  rolloutResume,
  rolloutRetry,
} from "./commands/rollout/commands.ts";
import { rolloutList } from "./commands/rollout/list.ts";
import { rolloutShow } from "./commands/rollout/show.ts";
import { rolloutStart } from "./commands/rollout/start.ts";
import { rolloutUndo } from "./commands/rollout/undo.ts";
import { rolloutWatch } from "./commands/rollout/watch.ts";
import { routeExplain } from "./commands/route-explain.ts";
import { routeUnresolved } from "./commands/route-unresolved.ts";
import { routerCommand } from "./commands/router.ts";
import { server } from "./commands/server.ts";
import { stampAdopt } from "./commands/stamp/adopt.ts";
import { stampCreate } from "./commands/stamp/create.ts";
import { stampDestroy } from "./commands/stamp/destroy.ts";
import { stampDiff } from "./commands/stamp/diff.ts";
import { stampFence } from "./commands/stamp/fence.ts";
import { stampDrain } from "./commands/stamp/drain.ts";
import { stampCordon, stampRetry, stampUncordon } from "./commands/stamp/goal.ts";
import { stampList } from "./commands/stamp/list.ts";
import { stampLogs } from "./commands/stamp/logs.ts";
import { stampRotateKeys } from "./commands/stamp/rotate-keys.ts";
import { stampShow } from "./commands/stamp/show.ts";
import { status } from "./commands/status.ts";
import { templateRender } from "./commands/template/render.ts";
import { templateValidate } from "./commands/template/validate.ts";
import { tenantCertificate } from "./commands/tenant/certificate.ts";
import { tenantCreate } from "./commands/tenant/create.ts";
import { tenantDelete } from "./commands/tenant/delete.ts";
import { tenantHistory } from "./commands/tenant/history.ts";
import { tenantHold } from "./commands/tenant/hold.ts";
import { tenantHostnameAdd } from "./commands/tenant/hostname-add.ts";
import { tenantHostnameRemove } from "./commands/tenant/hostname-remove.ts";
import { tenantImport } from "./commands/tenant/import.ts";
import { tenantList } from "./commands/tenant/list.ts";
import { tenantMove } from "./commands/tenant/move.ts";
import { tenantRelease } from "./commands/tenant/release.ts";
import { tenantShow } from "./commands/tenant/show.ts";
import {
  tenantOverrides,
  tenantPin,
  tenantQuarantine,
  tenantUnpin,
  tenantUnquarantine,
} from "./commands/tenant/override.ts";
import { tenantExplain, tenantPlace } from "./commands/tenant/place.ts";
import { tenantResume } from "./commands/tenant/resume.ts";
import { tenantSuspend } from "./commands/tenant/suspend.ts";
import { tenantWhere } from "./commands/tenant/where.ts";
import { tokenCreate } from "./commands/token/create.ts";
import { tokenList } from "./commands/token/list.ts";
import { tokenRevoke } from "./commands/token/revoke.ts";
import { up } from "./commands/up.ts";
import { webhookAdd, webhookList, webhookMessages, webhookRemove, webhookTest } from "./commands/webhook/commands.ts";
import { type AnyCommand, define } from "./define.ts";
import { allExitCodes, type ExitCode, exitCode, exitCodeHelp } from "./exit-codes.ts";
import { CommandFailure, describeFailure, formatFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { version } from "./version.ts";

type Tree = readonly (AnyCommand | Group)[];

interface Group {
  readonly group: string;
  readonly summary: string;
  readonly commands: Tree;
  /** What the group's own name does, without one of its commands. */
  readonly itself?: AnyCommand;
}

const sections: readonly { readonly heading: string; readonly commands: Tree }[] = [
  { heading: "A fleet on this machine:", commands: [up, down, status, doctor] },
  {
    heading: "Templates and fleets:",
    commands: [
      planCommand,
      applyCommand,
      {
        group: "template",
        summary: "Check and render stamp templates, offline",
        commands: [templateValidate, templateRender],
      },
    ],
  },
  {
    heading: "Releases:",
    commands: [
      {
        group: "rollout",
        summary: "Releases on their way: start, list, show, watch, pause, resume, promote, approve, abort, retry, undo",
        commands: [
          rolloutStart,
          rolloutList,
          rolloutShow,
          rolloutWatch,
          rolloutPause,
          rolloutResume,
          rolloutPromote,
          rolloutApprove,
          rolloutAbort,
          rolloutRetry,
          rolloutUndo,
        ],
      },
      {
        group: "release",
        summary: "Releases: list, show, diff, which stamp runs which, and pins",
        commands: [releaseList, releaseShow, releaseDiff, releaseMatrix, releasePins],
      },
      { group: "freeze", summary: "Freezes", itself: freezeCommand, commands: [freezeList] },
      unfreeze,
    ],
  },
  {
    heading: "Stamps and tenants:",
    commands: [
      {
        group: "pool",
        summary: "Pools: list, show, rebalance, and do what one proposes",
        commands: [poolList, poolShow, poolRebalance, poolApplyProposal],
      },
      {
        group: "stamp",
        summary: "Stamps: list, show, create, destroy, logs, diff, check, fence, keys",
        commands: [
          stampList,
          stampShow,
          stampCreate,
          stampAdopt,
          stampCordon,
          stampUncordon,
          stampDrain,
          stampRetry,
          stampDestroy,
          stampLogs,
          stampDiff,
          stampCheck,
          stampFence,
          stampRotateKeys,
          stampPin,
          stampUnpin,
        ],
      },
      {
        group: "tenant",
        summary: "Tenants: list, show, create, move, suspend, delete, import, hostnames, history",
        commands: [
          tenantList,
          tenantShow,
          tenantCreate,
          tenantMove,
          tenantSuspend,
          tenantResume,
          tenantDelete,
          tenantCertificate,
          tenantImport,
          tenantPlace,
          tenantExplain,
          tenantPin,
          tenantUnpin,
          tenantQuarantine,
          tenantUnquarantine,
          tenantOverrides,
          {
            group: "hostname",
            summary: "A tenant's own hostnames",
            commands: [tenantHostnameAdd, tenantHostnameRemove],
          },
          tenantHold,
          tenantRelease,
          tenantHistory,
          tenantWhere,
          tenantPinRelease,
          tenantUnpinRelease,
        ],
      },
      {
        group: "move",
        summary: "Moves of tenants: list, show, watch, abort, rollback, finish",
        commands: [moveList, moveShow, moveWatch, moveAbort, moveRollback, moveFinish],
      },
      {
        group: "campaign",
        summary: "Drains and rebalancings: list, show, watch, pause, resume, cancel",
        commands: [campaignList, campaignShow, campaignWatch, campaignPause, campaignResume, campaignCancel],
      },
      { group: "fleet", summary: "What stamps must not share", commands: [fleetCheck] },
      { group: "residency", summary: "Where tenants' data lives, and may live", commands: [residencyReport] },
      { group: "route", summary: "Why a request goes where it goes", commands: [routeExplain, routeUnresolved] },
    ],
  },
  {
    heading: "Capacity:",
    commands: [
      {
        group: "capacity",
        summary: "How full the fleet is, when it will be, and what another one would cost",
        commands: [capacityShow, capacityForecast, capacitySimulate],
      },
      adviseCommand,
    ],
  },
  {
    heading: "Operations:",
    commands: [
      { group: "audit", summary: "Who changed what", commands: [auditList] },
      { group: "token", summary: "Tokens of people and pipelines", commands: [tokenCreate, tokenList, tokenRevoke] },
      {
        group: "directory",
        summary: "Held changes of the directory, and maps of it",
        commands: [directoryAccept, directoryExport],
      },
      {
        group: "controlplane",
        summary: "Backup, restore and recovery of the control plane",
        commands: [controlplaneBackup, controlplaneRestore, controlplaneRecovery],
      },
      {
        group: "webhook",
        summary: "Who is told of rollouts: add, list, test, remove, messages",
        commands: [webhookAdd, webhookList, webhookTest, webhookRemove, webhookMessages],
      },
      server,
      routerCommand,
      completion,
    ],
  },
];

/** Runs one command line. Never throws and never exits the process: the exit code is the answer. */
export async function runProgram(argv: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = exitCode.ok;
  const program = buildProgram(io, (finished) => {
    code = finished;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (caught) {
    return report(caught, argv, io);
  }
}

export function buildProgram(io: Io, finish: (code: ExitCode) => void): Command {
  const program = new Command("stampyard")
    .description("Deployment Stamps: many complete, share-nothing copies of your application, and a thin router.")
    .version(version(), "-V, --version", "print the version")
    .helpCommand(false)
    // Options of a group that does something itself end where a command of it begins.
    .enablePositionalOptions()
    .addHelpText("after", `\nStart here:\n  $ stampyard up -f fleet.yaml\n\n${exitCodeHelp(allExitCodes)}`);
  for (const section of sections) {
    program.commandsGroup(section.heading);
    addAll(program, section.commands, io, finish);
  }
  define(program, completeCommand(program), io, finish);
  harden(program, io);
  return program;
}

function addAll(parent: Command, tree: Tree, io: Io, finish: (code: ExitCode) => void): void {
  for (const entry of tree) {
    if ("group" in entry) {
      const group =
        entry.itself === undefined
          ? parent.command(entry.group).summary(entry.summary).description(`${entry.summary}.`)
          : define(parent, entry.itself, io, finish);
      group.helpCommand(false);
      addAll(group, entry.commands, io, finish);
    } else {
      define(parent, entry, io, finish);
    }
  }
}

/** Our streams instead of the process's, and errors instead of exits, for every command of the tree. */
function harden(command: Command, io: Io): void {
  command.exitOverride();
  command.showSuggestionAfterError(true);
  command.configureOutput({
    writeOut: (text) => io.out.write(text),
    writeErr: (text) => io.err.write(text),
    getOutHelpWidth: () => Math.min(io.out.columns, 110),
    getErrHelpWidth: () => Math.min(io.err.columns, 110),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
    outputError: (text, write) => write(`${text.trimEnd()}\n  try: stampyard ${pathOf(command)}--help\n`),
  });
  for (const child of command.commands) harden(child, io);
}

function pathOf(command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at?.parent != null; at = at.parent) names.unshift(at.name());
  return names.length === 0 ? "" : `${names.join(" ")} `;
}

function report(caught: unknown, argv: readonly string[], io: Io): ExitCode {
  // Commander has printed its own message; a request for help or version is no error.
  if (caught instanceof CommanderError) return caught.exitCode === 0 ? exitCode.ok : exitCode.error;
  if (io.signal.aborted) {
    io.err.write(`${interruption(io)}\n`);
    return io.signal.reason === "SIGTERM" ? exitCode.terminated : exitCode.interrupted;
  }
  const failure = describeFailure(caught);
  const json = argv.some(
    (arg, at) => /^(?:--output=|-o)jsonl?$/.test(arg) || (isOutputFlag(argv[at - 1]) && /^jsonl?$/.test(arg)),
  );
  if (json) io.err.write(`${JSON.stringify({ error: { ...failure, drawing: undefined } }, undefined, 2)}\n`);
  else io.err.write(formatFailure(failure));
  if (failure.code === "INTERNAL" && caught instanceof Error && (io.env["STAMPYARD_DEBUG"] ?? "") !== "") {
    io.err.write(`${caught.stack ?? ""}\n`);
  }
  return caught instanceof CommandFailure ? caught.exit : exitCode.error;
}

function interruption(io: Io): string {
  const how = io.signal.reason === "SIGTERM" ? "Ended by SIGTERM" : "Interrupted";
  return `${how}: what was begun goes on or can be resumed; run the same command again`;
}

function isOutputFlag(arg: string | undefined): boolean {
  return arg === "-o" || arg === "--output";
}
