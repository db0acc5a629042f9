import type { RolloutView } from "@stampyard/api";
import type { Command } from "commander";
import type { Client } from "../../connection.ts";
import { type AnyCommand, command } from "../../define.ts";
import { findRollout, rolloutArgument } from "./find-rollout.ts";

interface Options {
  readonly reason?: string;
  readonly full?: boolean;
}

interface Said {
  readonly params: { readonly id: string };
  readonly body: { readonly reason?: string };
  readonly signal: AbortSignal;
}

interface Words {
  readonly verb: string;
  readonly call: (client: Client, said: Said, options: Options) => Promise<RolloutView>;
  readonly summary: string;
  readonly about: string;
  readonly examples: readonly (readonly [string, string])[];
  readonly options?: (command: Command) => Command;
  readonly said: (rollout: RolloutView, options: Options) => string;
}

function told({ verb, call, summary, about, examples, options, said }: Words): AnyCommand {
  return command<Options>({
    usage: `${verb} [rollout]`,
    summary,
    about: `${rolloutArgument} ${about}`,
    completes: ["rollout"],
    options: (c) => (options ?? ((same) => same))(c.option("--reason <text>", "why, for the audit")),
    examples,
    run: async (run) => {
      const { signal } = run.io;
      const client = await run.client();
      const { id } = await findRollout(client, run.args[0], signal);
      const { reason } = run.options;
      const body = reason === undefined ? {} : { reason };
      const rollout = await call(client, { params: { id }, body, signal }, run.options);
      run.emit(rollout, () => `${said(rollout, run.options)}\n`);
      run.say(`See how it goes: stampyard rollout watch ${id}`);
    },
  });
}

export const rolloutPause = told({
  verb: "pause",
  call: (client, said) => client.rolloutPause(said),
  summary: "Begin nothing more of a rollout; updates under way end",
  about: "Stamps that have the release keep it. rollout resume lets it go on where it was.",
  examples: [['rollout pause --reason "the fair"', "until rollout resume"]],
  said: ({ id }) => `Rollout ${id} is paused; updates under way end`,
});

export const rolloutResume = told({
  verb: "resume",
  call: (client, said) => client.rolloutResume(said),
  summary: "Let a paused rollout go on where it was",
  about: "A bake begins again, and its gate is asked again.",
  examples: [["rollout resume", "the one that is paused"]],
  said: ({ id, phase }) => `Rollout ${id} goes on: ${phase}`,
});

export const rolloutPromote = told({
  verb: "promote",
  call: (client, { params, body, signal }, { full }) =>
    client.rolloutPromote({ params, body: { ...body, full: full === true }, signal }),
  summary: "Let a rollout go on past the bake or the verdict of its wave",
  about: "A person's word instead of evidence, and the audit says whose. Guards that abort go on looking.",
  options: (c) => c.option("--full", "past all the waves that follow, too"),
  examples: [
    ['rollout promote --reason "checked by hand"', "one wave"],
    ["rollout promote --full", "all the others as well"],
  ],
  said: ({ id }, { full }) => `Rollout ${id} goes on past ${full === true ? "all its bakes" : "this wave"}`,
});

export const rolloutApprove = told({
  verb: "approve",
  call: (client, said) => client.rolloutApprove(said),
  summary: "Let the wave begin that waits for a person",
  about: "The wave before it was good; its strategy wants a person's word for this one.",
  examples: [['rollout approve --reason "seen by the night shift"', "the wave begins"]],
  said: ({ id, wave, waves }) =>
    `Rollout ${id} goes on with wave ${wave === undefined ? "" : (waves[wave]?.name ?? "")}`.trimEnd(),
});

export const rolloutRetry = told({
  verb: "retry",
  call: (client, said) => client.rolloutRetry(said),
  summary: "Try the stamps of a rollout again that failed",
  about: "Those that have it already are not touched.",
  examples: [["rollout retry", "after the cause was mended"]],
  said: ({ id, members }) => `Rollout ${id} tries its failed stamps again: ${members.updating} under way`,
});
