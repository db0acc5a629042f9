import { command } from "../../define.ts";
import { campaignText } from "./campaign-text.ts";
import { campaignArgument, findCampaign } from "./find-campaign.ts";

export const campaignShow = command({
  usage: "show <campaign>",
  summary: "Show a campaign: how far it is, what it waits for, and every tenant with its target or its reason",
  about: campaignArgument,
  completes: ["campaign"],
  examples: [
    ["campaign show shared-2", "the latest drain of a stamp"],
    ["campaign show cp-0a1b2c3d4e -o json", "with all of its tenants, for a script"],
  ],
  run: async (run) => {
    const { signal } = run.io;
    const client = await run.client();
    const { id } = await findCampaign(client, run.args[0] ?? "", signal);
    const campaign = await client.campaignGet({ params: { id }, signal });
    const items = await client.all("campaignItems", { params: { id }, signal });
    run.emit({ ...campaign, items }, () => campaignText(campaign, items));
  },
});
