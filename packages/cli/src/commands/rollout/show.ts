import { command } from "../../define.ts";
import { findRollout, rolloutArgument } from "./find-rollout.ts";
import { rolloutText } from "./rollout-text.ts";

export const rolloutShow = command({
  usage: "show [rollout]",
  summary: "Show a rollout: what it waits for, since when and until when, its stamps, and what its gate says",
  about: rolloutArgument,
  completes: ["rollout"],
  examples: [
    ["rollout show", "the one that goes on"],
    ["rollout show ro-0a1b2c3d4e -o json", "with all of its stamps, for a script"],
  ],
  run: async (run) => {
    const { signal } = run.io;
    const client = await run.client();
    const { id } = await findRollout(client, run.args[0], signal);
    const [rollout, { items }] = await Promise.all([
      client.rolloutGet({ params: { id }, signal }),
      client.rolloutMembers({ params: { id }, signal }),
    ]);
    run.emit({ ...rollout, stamps: items }, () => rolloutText(rollout, items, Date.now()));
  },
});
