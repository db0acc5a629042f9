import type { StampView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import { command, numberIn, type Run } from "../../define.ts";
import { type ExitCode, exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { waitFor } from "../../process/wait.ts";
import { planText } from "../campaign/campaign-text.ts";
import { concludeCampaign, followCampaign } from "../campaign/follow-campaign.ts";
import { addSettingsOptions, settingsAsked, type SettingsOptions } from "../campaign/settings-options.ts";
import { placesOf, reasonOption } from "./goal.ts";

interface Options extends SettingsOptions {
  readonly reason?: string;
  readonly deadline?: string;
  readonly message?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
  readonly timeout: number;
}

export const stampDrain = command<Options>({
  usage: "drain <stamp>",
  summary: "No new tenants on a stamp, and those it has move away; undone by uncordon",
  about:
    "A campaign moves its tenants to other stamps of their pool, a few at a time, each with a short write pause; who can go nowhere stays, is served, and is named. Where tenants cannot be moved, each leaves when it is deleted. The stamp is empty after the last one and the last way back; then it can be destroyed without force.",
  completes: ["stamp"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    addSettingsOptions(
      c
        .option(...reasonOption)
        .option("--dry-run", "who would go where, who cannot, and how long it takes; change nothing")
        .option("--deadline <when>", "when it should have ended: 30m, 12h, 7d, or a time such as 2027-01-31T18:00:00Z")
        .option("--message <text>", "for the people of the tenants that leave"),
    )
      .option("--wait", "show how it goes, and return when its last tenant has left")
      .option(
        "--timeout <seconds>",
        "how long to wait; it goes on after that",
        numberIn("timeout", 1, 604_800),
        86_400,
      ),
  examples: [
    ["stamp drain shared-2 --dry-run", "the plan, before anything is done"],
    ['stamp drain shared-2 --deadline 7d --reason "old disks"', "begin, and return at once"],
    ["stamp drain shared-2 --concurrency 4 --max-pause 500ms --wait", "four at a time, and return after the last one"],
  ],
  run: async (run) => {
    const name = run.args[0] ?? "";
    const { dryRun, deadline, message, reason, wait } = run.options;
    const { signal } = run.io;
    const client = await run.client();
    const query = settingsAsked(run.options);
    const plan = await client.campaignPlanDrain({ params: { name }, query, signal });
    if (dryRun === true) {
      run.emit(plan, () => `${planText(plan)}\nNothing was changed\n`);
      return plan.barred === undefined ? exitCode.ok : exitCode.error;
    }
    if (plan.items.length > 0) run.say(planText(plan));
    const stamp = await client.stampDrain({
      params: { name },
      body: {
        ...(reason === undefined ? {} : { reason }),
        ...(deadline === undefined ? {} : { deadline: readDeadline(deadline, Date.now()) }),
        ...(message === undefined ? {} : { message }),
        moves: settingsAsked(run.options),
      },
      signal,
    });
    const [campaign] = (
      await client.campaignList({ query: { subject: name, kind: "drain", open: true, limit: 1 }, signal })
    ).items;
    if (wait === true && campaign !== undefined) {
      return concludeCampaign(run, await followCampaign(run, client, campaign, run.options.timeout * 1_000));
    }
    if (wait === true) return waitEmpty(run, client, stamp);
    run.emit(stamp, () => `Stamp ${name} drains: its tenants are to leave (${placesOf(stamp)})\n`);
    const how = campaign === undefined ? `stampyard stamp show ${name}` : `stampyard campaign watch ${campaign.id}`;
    run.say(`See how it goes: ${how}`);
    return exitCode.ok;
  },
});

/** Nobody moves its tenants: it is empty when the last one was deleted. */
async function waitEmpty(run: Run<Options>, client: Client, asked: StampView): Promise<ExitCode> {
  const { name } = asked;
  const { signal } = run.io;
  let stamp = asked;
  const look = async () => {
    stamp = await client.stampGet({ params: { name }, signal });
    return stamp.phase === "empty" ? true : undefined;
  };
  const isEmpty = await waitFor(look, { timeoutMs: run.options.timeout * 1_000, signal, everyMs: 250 });
  if (isEmpty !== true) {
    throw new CommandFailure("TIMEOUT", `Stamp ${name} waits for ${stamp.waitingOn ?? "its tenants to leave"}`, {
      mend: `Move or delete them, or take it back with \`stampyard stamp uncordon ${name}\`.`,
      exit: exitCode.notReady,
    });
  }
  run.emit(stamp, () => `Stamp ${name} is empty\n`);
  return exitCode.ok;
}

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** From now on, or a time. */
export function readDeadline(text: string, nowMs: number): string {
  const [, count, unit] = /^([0-9]{1,5})([mhd])$/.exec(text) ?? [];
  const at = count === undefined ? Date.parse(text) : nowMs + Number(count) * (unitMs[unit ?? ""] ?? 0);
  if (Number.isFinite(at) && at > nowMs) return new Date(at).toISOString();
  throw new CommandFailure("INVALID_REQUEST", `--deadline is ${JSON.stringify(text)}`, {
    mend: "Give a time to come: 30m, 12h, 7d, or 2027-01-31T18:00:00Z.",
  });
}
