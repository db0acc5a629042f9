import { setTimeout as sleep } from "node:timers/promises";
import type { CampaignView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import type { Run } from "../../define.ts";
import { type ExitCode, exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { viewFor } from "../../up/follow.ts";
import { allOf, doneOf, progressText } from "./campaign-text.ts";

const everyMs = 500;
/** What a control plane that is away does not mean: that the campaign has ended. */
const away: readonly unknown[] = ["CONTROL_PLANE_UNREACHABLE", "NOT_LEADER", "TIMEOUT"];

export function hasEnded({ phase }: Pick<CampaignView, "phase">): boolean {
  return phase === "done" || phase === "cancelled" || phase === "failed";
}

/** Looks at a campaign until it has ended, showing how far it is. The last state seen is answered when time runs out. */
export async function followCampaign<O>(
  run: Pick<Run<O>, "io" | "options">,
  client: Client,
  begun: CampaignView,
  timeoutMs: number,
  onChange?: (campaign: CampaignView) => void,
): Promise<CampaignView> {
  const { signal } = run.io;
  const deadline = performance.now() + timeoutMs;
  using view = viewFor(run);
  let campaign = begun;
  let last = "";
  for (;;) {
    const { updatedAt: _, revision: __, ...content } = campaign;
    const text = JSON.stringify(content);
    if (text !== last) onChange?.(campaign);
    last = text;
    const label = `${campaign.kind} of ${campaign.subject}`;
    const state = campaign.phase === "done" ? "done" : campaign.phase === "failed" ? "failed" : "working";
    const wait = campaign.why ?? campaign.waitingOn;
    const moved = `${doneOf(campaign)} of ${allOf(campaign)} moved`;
    const detail = wait === undefined || hasEnded(campaign) ? progressText(campaign) : `${moved}; ${wait}`;
    view.show([{ label, state, detail }]);
    if (hasEnded(campaign) || performance.now() >= deadline || signal.aborted) return campaign;
    await sleep(everyMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return campaign;
    campaign = (await look(client, campaign.id, signal)) ?? campaign;
  }
}

async function look(client: Client, id: string, signal: AbortSignal): Promise<CampaignView | undefined> {
  try {
    return await client.campaignGet({ params: { id }, signal });
  } catch (caught) {
    if (signal.aborted || away.includes((caught as { readonly code?: unknown }).code)) return undefined;
    throw caught;
  }
}

/**
 * What a command says of a campaign that it has followed.
 * @throws CommandFailure WRONG_PHASE when it failed or was cancelled, TIMEOUT (exit code 3)
 */
export function concludeCampaign<O>(run: Run<O>, campaign: CampaignView): ExitCode {
  const { id, kind, subject, phase, why, waitingOn } = campaign;
  if (phase === "done") {
    run.emit(campaign, () => `The ${kind} of ${subject} is done: ${progressText(campaign)}\n`);
    if (kind === "drain" && campaign.settings.wayBackMs > 0 && campaign.tenants.moved > 0) {
      run.say(
        `Stamp ${subject} keeps their old copies as ways back, and is empty when those end: stampyard campaign show ${id}`,
      );
    }
    return exitCode.ok;
  }
  if (phase === "failed" || phase === "cancelled") {
    throw new CommandFailure("WRONG_PHASE", `Campaign ${id} is ${phase}: ${why ?? "no cause known"}`, {
      mend: `See who was moved: stampyard campaign show ${id}`,
    });
  }
  if (run.io.signal.aborted) {
    run.io.err.write(
      `Campaign ${id} goes on\n  watch it:  stampyard campaign watch ${id}\n  cancel it: stampyard campaign cancel ${id}\n`,
    );
    return run.io.signal.reason === "SIGTERM" ? exitCode.terminated : exitCode.interrupted;
  }
  throw new CommandFailure("TIMEOUT", `Campaign ${id} waits for ${waitingOn ?? "its moves"}`, {
    mend: `It goes on: stampyard campaign watch ${id}; cancel it: stampyard campaign cancel ${id}`,
    exit: exitCode.notReady,
  });
}
