import { existsSync } from "node:fs";
import { command, confirmName, numberIn, yesOption } from "../define.ts";
import { takeLock } from "../process/lock.ts";
import { findStateDir } from "../state-dir.ts";
import { takeDown } from "../up/take-down.ts";

interface Options {
  readonly destroy?: boolean;
  readonly timeout: number;
}

export const down = command<Options>({
  usage: "down",
  summary: "Stop everything of a fleet on this machine; its data stays",
  about: "Stops router, control plane, stamps and store; `stampyard up` brings all of it back.",
  options: (c) =>
    yesOption(c)
      .option("--destroy", "also remove every stamp, tenant, secret and log of the fleet")
      .option("--timeout <seconds>", "how long to wait for another up or down", numberIn("timeout", 1, 86_400), 60),
  examples: [
    ["down", "stop; nothing is lost"],
    ["down --destroy", "asks for the directory's name, then leaves nothing behind"],
  ],
  run: async (run) => {
    const state = findStateDir(run.io, run.options);
    if (!existsSync(state.root)) {
      run.emit({ state: state.root, stopped: [], stamps: [] }, () => `Nothing runs: there is no ${state.root}\n`);
      return;
    }
    const destroy = run.options.destroy === true;
    if (destroy) {
      const name = state.root.split("/").at(-1) ?? state.root;
      await confirmName(run, `remove every stamp, tenant and secret in ${state.root}`, name);
    }
    await using _lock = await takeLock(state.lock, {
      doing: "stampyard down",
      timeoutMs: run.options.timeout * 1000,
      signal: run.io.signal,
      onWait: (holder) => run.say(`Waiting for \`${holder.doing}\`, process ${holder.pid}, since ${holder.since}`),
    });
    const done = await takeDown({ state, destroy, signal: run.io.signal, say: (text) => run.say(text) });
    run.emit({ state: state.root, destroyed: destroy, ...done }, () =>
      destroy ? `Nothing is left of ${state.root}\n` : `All is stopped; the data stays in ${state.root}\n`,
    );
  },
});
