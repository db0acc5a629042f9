import type { CampaignView } from "@stampyard/api";
import { Option } from "commander";
import { command, numberIn } from "../../define.ts";
import { campaignTable } from "./campaign-text.ts";

const phases: readonly CampaignView["phase"][] = ["running", "paused", "cancelling", "cancelled", "done", "failed"];

interface Options {
  readonly of?: string;
  readonly kind?: CampaignView["kind"];
  readonly phase?: CampaignView["phase"];
  readonly open?: boolean;
  readonly limit: number;
}

export const campaignList = command<Options>({
  usage: "list",
  summary: "List campaigns, the newest first",
  options: (c) =>
    c
      .option("--of <name>", "only of this stamp or pool")
      .addOption(new Option("--kind <kind>", "only of this kind").choices(["drain", "rebalance"]))
      .addOption(new Option("--phase <phase>", "only in this phase").choices([...phases]))
      .option("--open", "only those that have not ended")
      .option("-n, --limit <campaigns>", "how many", numberIn("limit", 1, 500), 100),
  examples: [
    ["campaign list --open", "drains and rebalancings that go on"],
    ["campaign list --of shared-2 -o json", "all drains of a stamp, for a script"],
  ],
  run: async (run) => {
    const { of: subject, kind, phase, open, limit } = run.options;
    const client = await run.client();
    const { items } = await client.campaignList({
      query: {
        limit,
        ...(subject === undefined ? {} : { subject }),
        ...(kind === undefined ? {} : { kind }),
        ...(phase === undefined ? {} : { phase }),
        ...(open === true ? { open } : {}),
      },
      signal: run.io.signal,
    });
    run.emit({ items }, () => campaignTable(items, Date.now()));
  },
});
