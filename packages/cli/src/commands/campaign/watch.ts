import type { CampaignView } from "@stampyard/api";
import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { campaignArgument, findCampaign } from "./find-campaign.ts";
import { concludeCampaign, followCampaign } from "./follow-campaign.ts";

export const campaignWatch = command<{ readonly timeout: number }>({
  usage: "watch <campaign>",
  summary: "Show how a campaign goes until it has ended",
  about: `${campaignArgument} Ctrl-C ends the looking, not the campaign. -o jsonl prints it once for each change.`,
  completes: ["campaign"],
  streams: true,
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) => c.option("--timeout <seconds>", "how long to look", numberIn("timeout", 1, 604_800), 86_400),
  examples: [["campaign watch shared-2", "how many have moved, and what it waits for"]],
  run: async (run) => {
    const client = await run.client();
    const begun = await findCampaign(client, run.args[0] ?? "", run.io.signal);
    const lines = run.options.output === "jsonl";
    const onChange = (campaign: CampaignView) => run.io.out.write(`${JSON.stringify(campaign)}\n`);
    const campaign = await followCampaign(
      run,
      client,
      begun,
      run.options.timeout * 1_000,
      lines ? onChange : undefined,
    );
    return concludeCampaign(lines ? { ...run, emit: () => undefined } : run, campaign);
  },
});
