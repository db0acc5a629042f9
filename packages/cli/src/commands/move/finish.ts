import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { counted } from "../../output/quantity.ts";
import { findMove, moveArgument } from "./find-move.ts";
import { concludeMove, followMove } from "./follow-move.ts";
import { hasEnded } from "./status-text.ts";
import { addWaitOptions, type WaitOptions } from "./wait-options.ts";

interface Options extends WaitOptions {
  readonly accept?: boolean;
  readonly reason?: string;
}

export const moveFinish = command<Options>({
  usage: "finish <move>",
  summary: "End the way back of a move now: the copy on its source is erased",
  about: `${moveArgument} It happens by itself when the way back is over. A disputed move needs --accept: read move show first.`,
  completes: ["move"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    addWaitOptions(
      c
        .option("--accept", "the target is right as it is, though the copies differ or could not be compared")
        .option("--reason <text>", "why, for the audit"),
      "when nothing is left on the source",
    ),
  examples: [["move finish acme", "the tenant stays where it is now for good"]],
  run: async (run) => {
    const { signal } = run.io;
    const { accept, reason, wait, timeout } = run.options;
    const client = await run.client();
    const { id } = await findMove(client, run.args[0] ?? "", signal);
    const body = { accept: accept === true, ...(reason === undefined ? {} : { reason }) };
    const asked = await client.moveFinish({ params: { id }, body, signal });
    if (!wait) {
      run.emit(asked, () => `Move ${id} ends: the copy of tenant ${asked.tenant} on ${asked.from} is to be erased\n`);
      return exitCode.ok;
    }
    const move = await followMove(run, client, asked, { timeoutMs: timeout * 1_000, isOver: hasEnded });
    if (move.phase !== "done") return concludeMove(run, move);
    const rows = move.report.erased?.tables.reduce((sum, { rows: count }) => sum + count, 0);
    const erased = rows === undefined ? "" : `; ${counted(rows, "row")} erased on ${move.from}`;
    run.emit(move, () => `Move ${id} is done: tenant ${move.tenant} is on ${move.to}${erased}\n`);
    return exitCode.ok;
  },
});
