import { command } from "../../define.ts";
import { findRollout, rolloutArgument } from "./find-rollout.ts";
import { addWatchOptions, followExits, type WatchOptions, watchToEnd } from "./watch-options.ts";

export const rolloutWatch = command<WatchOptions>({
  usage: "watch [rollout]",
  summary: "Show how a rollout goes, live, until its end; the exit code is the rollout's",
  about: `${rolloutArgument} 0: every stamp runs it. 1: it was taken back. 3: it waits for a person, or time is over. Ctrl-C ends the looking, not the rollout. -o json and -o jsonl print the rollout with its stamps as one line for each change.`,
  completes: ["rollout"],
  streams: true,
  exits: followExits,
  options: addWatchOptions,
  examples: [
    ["rollout watch", "waves, stamps, what the gate says, and what it waits for"],
    ["rollout watch ro-0a1b2c3d4e -o json", "the same in a pipeline: a line for each change, and its exit code"],
  ],
  run: async (run) => {
    const client = await run.client();
    const { id } = await findRollout(client, run.args[0], run.io.signal);
    return watchToEnd(run, client, id);
  },
});
