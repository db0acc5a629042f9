import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { findRollout, rolloutArgument } from "./find-rollout.ts";
import { concludeRollout, followRollout } from "./follow-rollout.ts";
import { hasEnded, progressText } from "./rollout-text.ts";
import { followExits } from "./watch-options.ts";

interface Options {
  readonly reason?: string;
  readonly detach?: boolean;
  readonly timeout: number;
}

export const rolloutAbort = command<Options>({
  usage: "abort [rollout]",
  summary: "Take every stamp that a rollout touched back to what it ran before, at once",
  about: `${rolloutArgument} Wins over everything at every step; stamps that it has not reached are not touched. One that is over is taken back with rollout undo.`,
  completes: ["rollout"],
  exits: followExits,
  options: (c) =>
    c
      .option("--reason <text>", "why, for the audit")
      .option("--detach", "return at once; it goes on by itself")
      .option("--timeout <seconds>", "how long to look", numberIn("timeout", 1, 86_400), 600),
  examples: [['rollout abort --reason "orders are slow"', "the one that goes on; ends when all are back"]],
  run: async (run) => {
    const { signal } = run.io;
    const { reason, detach, timeout } = run.options;
    const client = await run.client();
    const { id } = await findRollout(client, run.args[0], signal);
    const body = reason === undefined ? {} : { reason };
    const asked = await client.rolloutAbort({ params: { id }, body, signal });
    if (detach === true) {
      run.emit(asked, () => `Rollout ${id} is taken back: ${progressText(asked)}\n`);
      run.say(`See how it goes: stampyard rollout watch ${id}`);
      return exitCode.ok;
    }
    const rollout = await followRollout(run, client, id, { timeoutMs: timeout * 1_000, isOver: hasEnded });
    if (rollout.phase === "aborted") {
      run.emit(rollout, () => `Rollout ${id} is taken back: ${progressText(rollout)}\n`);
      return exitCode.ok;
    }
    return concludeRollout(run, rollout);
  },
});
