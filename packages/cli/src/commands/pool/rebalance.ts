import { command, confirmName, yesOption } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { planText } from "../campaign/campaign-text.ts";
import { concludeCampaign, followCampaign } from "../campaign/follow-campaign.ts";
import { addSettingsOptions, settingsAsked, type SettingsOptions } from "../campaign/settings-options.ts";
import { addWaitOptions, type WaitOptions } from "../move/wait-options.ts";

interface Options extends SettingsOptions, WaitOptions {
  readonly dryRun?: boolean;
  readonly reason?: string;
}

export const poolRebalance = command<Options>({
  usage: "rebalance <pool>",
  summary: "Even out a pool by moving tenants, a few at a time",
  about:
    "The fewest moves that bring every stamp below its high mark and, where the pool spreads, close to the others of its region. It shows the plan and asks before anything is done. Ctrl-C ends the looking, not the campaign.",
  completes: ["pool"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    addWaitOptions(
      addSettingsOptions(
        yesOption(c)
          .option("--dry-run", "say what would happen, and change nothing")
          .option("--reason <text>", "why, for the audit"),
      ),
      "when every move has ended",
    ),
  examples: [
    ["pool rebalance shared --dry-run", "who would go where, and how full the stamps would be then"],
    ["pool rebalance shared --yes --no-wait", "do it, and return at once"],
  ],
  run: async (run) => {
    const name = run.args[0] ?? "";
    const { dryRun, reason, wait, timeout } = run.options;
    const { signal } = run.io;
    const client = await run.client();
    const query = settingsAsked(run.options);
    const plan = await client.campaignPlanRebalance({ params: { name }, query, signal });
    if (dryRun === true || (plan.items.length === 0 && plan.open === undefined)) {
      run.emit(plan, () => `${planText(plan)}\n${plan.items.length === 0 ? "Nothing to do" : "Nothing was changed"}\n`);
      return plan.barred === undefined ? exitCode.ok : exitCode.error;
    }
    run.say(planText(plan));
    await confirmName(run, `move ${plan.items.length} tenants of pool ${name}, with a short write pause each`, name);
    const body = { ...settingsAsked(run.options), ...(reason === undefined ? {} : { reason }) };
    const begun = await client.campaignRebalance({ params: { name }, body, signal });
    if (wait) return concludeCampaign(run, await followCampaign(run, client, begun, timeout * 1_000));
    run.emit(begun, () => `Campaign ${begun.id} evens out pool ${name}\n`);
    run.say(`See how it goes: stampyard campaign watch ${begun.id}`);
    return exitCode.ok;
  },
});
