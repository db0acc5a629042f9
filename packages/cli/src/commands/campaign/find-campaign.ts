import type { CampaignView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import { CommandFailure } from "../../failure.ts";

/** What `<campaign>` means in every command of the group. */
export const campaignArgument = "CAMPAIGN is the id of a campaign, or a stamp or pool: then its latest one.";

/** @throws CommandFailure NOT_FOUND when it is neither */
export async function findCampaign(client: Client, named: string, signal: AbortSignal): Promise<CampaignView> {
  if (/^cp-[a-z0-9]{1,40}$/.test(named)) {
    try {
      return await client.campaignGet({ params: { id: named }, signal });
    } catch (caught) {
      if ((caught as { readonly code?: unknown }).code !== "NOT_FOUND") throw caught;
    }
  }
  const { items } = await client
    .campaignList({ query: { subject: named, limit: 1 }, signal })
    .catch((caught: { readonly code?: unknown }) => {
      // Neither can be what was meant; one message says so.
      if (caught.code === "INVALID_NAME" || caught.code === "INVALID_REQUEST") return { items: [] };
      throw caught;
    });
  const [latest] = items;
  if (latest !== undefined) return latest;
  throw new CommandFailure(
    "NOT_FOUND",
    `No campaign ${JSON.stringify(named)}, and none of a stamp or pool of that name`,
    {
      mend: "See stampyard campaign list.",
    },
  );
}
