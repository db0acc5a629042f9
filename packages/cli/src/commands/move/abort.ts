import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { findMove, moveArgument } from "./find-move.ts";
import { followMove, sayGoesOn } from "./follow-move.ts";
import { isSettled, statusText } from "./status-text.ts";
import { addWaitOptions, type WaitOptions } from "./wait-options.ts";

export const moveAbort = command<WaitOptions & { readonly reason?: string }>({
  usage: "abort <move>",
  summary: "Leave the tenant where it is, and forget what was copied",
  about: `${moveArgument} At any step before the source has given the tenant away, and nothing is lost. After it: move rollback.`,
  completes: ["move"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    addWaitOptions(
      c.option("--reason <text>", "why, for the audit"),
      "when it is served by its source and nothing is left",
    ),
  examples: [["move abort acme", "acme stays on its stamp"]],
  run: async (run) => {
    const { signal } = run.io;
    const { reason, wait, timeout } = run.options;
    const client = await run.client();
    const { id } = await findMove(client, run.args[0] ?? "", signal);
    const body = reason === undefined ? {} : { reason };
    const asked = await client.moveAbort({ params: { id }, body, signal });
    const move = wait ? await followMove(run, client, asked, { timeoutMs: timeout * 1_000 }) : asked;
    const { tenant, from, to } = move;
    if (move.phase === "aborted") {
      run.emit(move, () => `Move ${id} is aborted: tenant ${tenant} stays on ${from}\n`);
      return exitCode.ok;
    }
    if (!wait) {
      run.emit(move, () => `Move ${id} of tenant ${tenant} is to be aborted\n`);
      run.say(`See how it goes: stampyard move show ${id}`);
      return exitCode.ok;
    }
    if (signal.aborted) return sayGoesOn(run, move);
    if (isSettled(move)) {
      throw new CommandFailure(
        "WRONG_PHASE",
        `Move ${id} was decided before it could be aborted: tenant ${tenant} is on ${to}`,
        {
          mend: `Take it back with stampyard move rollback ${id}.`,
        },
      );
    }
    throw new CommandFailure("TIMEOUT", `Move ${id} is ${statusText(move)}`, {
      mend: `It is worked on; look again with stampyard move show ${id}.`,
      exit: exitCode.notReady,
    });
  },
});
