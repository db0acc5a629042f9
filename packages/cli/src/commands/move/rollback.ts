import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { durationIn } from "../../output/quantity.ts";
import { findMove, moveArgument } from "./find-move.ts";
import { concludeMove, followMove } from "./follow-move.ts";
import { addWaitOptions, type WaitOptions } from "./wait-options.ts";
import { longestPauseMs, longestWayBackMs, shortestPauseMs } from "./limits.ts";

interface Options extends WaitOptions {
  readonly maxPause?: number;
  readonly wayBack?: number;
  readonly reason?: string;
}

export const moveRollback = command<Options>({
  usage: "rollback <move>",
  summary: "Take a moved tenant back to its source, with all that was written since",
  about: `${moveArgument} While the move rests, or is disputed. It is a move of its own, by which only the rows travel that changed.`,
  completes: ["move"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    addWaitOptions(
      c
        .option(
          "--max-pause <time>",
          "longest write pause (default: as the move had)",
          durationIn("max-pause", shortestPauseMs, longestPauseMs),
        )
        .option(
          "--way-back <time>",
          "how long it can be taken back in turn (default: as the move had)",
          durationIn("way-back", 0, longestWayBackMs),
        )
        .option("--reason <text>", "why, for the audit"),
      "when it is served by its source",
    ),
  examples: [["move rollback acme", "acme is served by its old stamp again, nothing lost"]],
  run: async (run) => {
    const { signal } = run.io;
    const { maxPause, wayBack, reason, wait, timeout } = run.options;
    const client = await run.client();
    const { id } = await findMove(client, run.args[0] ?? "", signal);
    const begun = await client.moveRollback({
      params: { id },
      body: {
        ...(maxPause === undefined ? {} : { maxPauseMs: maxPause }),
        ...(wayBack === undefined ? {} : { restMs: wayBack }),
        ...(reason === undefined ? {} : { reason }),
      },
      signal,
    });
    if (!wait) {
      run.emit(begun, () => `Move ${begun.id} takes tenant ${begun.tenant} back to ${begun.to}\n`);
      run.say(`See how it goes: stampyard move watch ${begun.id}`);
      return exitCode.ok;
    }
    return concludeMove(run, await followMove(run, client, begun, { timeoutMs: timeout * 1_000 }));
  },
});
