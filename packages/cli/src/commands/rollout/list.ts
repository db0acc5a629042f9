import type { RolloutView } from "@stampyard/api";
import { Option } from "commander";
import { command, numberIn } from "../../define.ts";
import { findRelease } from "../release/find-release.ts";
import { rolloutTable } from "./rollout-text.ts";

const phases: readonly RolloutView["phase"][] = [
  "queued",
  "updating",
  "baking",
  "approval",
  "paused",
  "aborting",
  "aborted",
  "done",
  "superseded",
];

interface Options {
  readonly stamp?: string;
  readonly release?: string;
  readonly phase?: RolloutView["phase"];
  readonly open?: boolean;
  readonly limit: number;
}

export const rolloutList = command<Options>({
  usage: "list",
  summary: "List rollouts, the newest first",
  options: (c) =>
    c
      .option("--stamp <name>", "only those in which this stamp is a member")
      .option("--release <release>", "only of this release: version, or digest")
      .addOption(new Option("--phase <phase>", "only in this phase").choices([...phases]))
      .option("--open", "only those that have not ended")
      .option("-n, --limit <rollouts>", "how many", numberIn("limit", 1, 500), 100),
  examples: [
    ["rollout list --open", "what goes on, and what waits for its turn"],
    ["rollout list --stamp shared-2 -o json", "everything that came over a stamp, for a script"],
  ],
  run: async (run) => {
    const { stamp, release, phase, open, limit } = run.options;
    const { signal } = run.io;
    const client = await run.client();
    const of = release === undefined ? undefined : await findRelease(client, release, signal);
    const { items } = await client.rolloutList({
      query: {
        limit,
        ...(stamp === undefined ? {} : { stamp }),
        ...(of === undefined ? {} : { release: of.digest }),
        ...(phase === undefined ? {} : { phase }),
        ...(open === true ? { open } : {}),
      },
      signal,
    });
    run.emit({ items }, () => rolloutTable(items, Date.now()));
  },
});
