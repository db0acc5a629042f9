import { type AnyCommand, command } from "../../define.ts";
import { campaignArgument, findCampaign } from "./find-campaign.ts";

interface Words {
  readonly verb: "pause" | "resume" | "cancel";
  readonly call: "campaignPause" | "campaignResume" | "campaignCancel";
  readonly summary: string;
  readonly about: string;
  readonly example: string;
  readonly said: (id: string) => string;
}

function told({ verb, call, summary, about, example, said }: Words): AnyCommand {
  return command<{ readonly reason?: string }>({
    usage: `${verb} <campaign>`,
    summary,
    about: `${campaignArgument} ${about}`,
    completes: ["campaign"],
    options: (c) => c.option("--reason <text>", "why, for the audit"),
    examples: [[`campaign ${verb} shared-2`, example]],
    run: async (run) => {
      const { signal } = run.io;
      const client = await run.client();
      const { id } = await findCampaign(client, run.args[0] ?? "", signal);
      const { reason } = run.options;
      const body = reason === undefined ? {} : { reason };
      const campaign = await client[call]({ params: { id }, body, signal });
      run.emit(campaign, () => `${said(id)}\n`);
    },
  });
}

export const campaignPause = told({
  verb: "pause",
  call: "campaignPause",
  summary: "Begin no more moves of a campaign; those under way end",
  about: "A stamp that is drained still takes no new tenants meanwhile.",
  example: "until campaign resume",
  said: (id) => `Campaign ${id} is paused; moves under way end`,
});

export const campaignResume = told({
  verb: "resume",
  call: "campaignResume",
  summary: "Let a paused campaign go on",
  about: "It plans again: what has changed meanwhile counts.",
  example: "go on with the drain of a stamp",
  said: (id) => `Campaign ${id} goes on`,
});

export const campaignCancel = told({
  verb: "cancel",
  call: "campaignCancel",
  summary: "End a campaign: moves that are not decided are taken back",
  about:
    "Who has moved stays there. A stamp that is drained goes on taking no new tenants: stamp uncordon ends that, too.",
  example: "whoever has not moved stays",
  said: (id) => `Campaign ${id} is being cancelled; moves that are not decided are taken back`,
});
