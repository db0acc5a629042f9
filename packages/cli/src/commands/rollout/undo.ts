import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { findRollout, rolloutArgument } from "./find-rollout.ts";
import { addWatchOptions, followExits, type WatchOptions, watchToEnd } from "./watch-options.ts";

interface Options extends WatchOptions {
  readonly reason?: string;
  readonly overrideFreeze?: boolean;
  readonly detach?: boolean;
}

export const rolloutUndo = command<Options>({
  usage: "undo [rollout]",
  summary: "Take a finished rollout back by a new one: each stamp gets what it ran before",
  about: `${rolloutArgument} Data is not taken back: what a migration changed stays (docs/how-to/roll-out-a-release.md). One that goes on is taken back with rollout abort, which is quicker.`,
  completes: ["rollout"],
  streams: true,
  exits: followExits,
  options: (c) =>
    addWatchOptions(
      c
        .option("--reason <text>", "why, for the audit")
        .option("--override-freeze", "also while a freeze stops rollouts; wants a reason")
        .option("--detach", "return at once; it goes on by itself"),
    ),
  examples: [['rollout undo --reason "reports are wrong since Tuesday"', "the latest one, over the same waves"]],
  run: async (run) => {
    const { signal } = run.io;
    const { reason, overrideFreeze, detach } = run.options;
    const client = await run.client();
    const { id } = await findRollout(client, run.args[0], signal);
    const begun = await client.rolloutUndo({
      params: { id },
      body: {
        ...(reason === undefined ? {} : { reason }),
        ...(overrideFreeze === true ? { overrideFreeze } : {}),
      },
      signal,
    });
    if (detach === true) {
      run.emit(begun, () => `Rollout ${begun.id} takes ${id} back\n`);
      run.say(`See how it goes: stampyard rollout watch ${begun.id}`);
      return exitCode.ok;
    }
    return watchToEnd(run, client, begun.id);
  },
});
