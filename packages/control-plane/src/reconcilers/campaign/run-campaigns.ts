import { campaignSettings, type FencingToken, type Random, StampyardError } from "@stampyard/domain";
import { type ReconcileDeps, type Turn, writeContext } from "../turn.ts";
import { createTurns } from "../turns.ts";
import { type CampaignDeps, reconcileCampaign } from "./reconcile-campaign.ts";

/** A campaign looks at all of its tenants: at most so often, however many moves end. */
const everyMs = 500;
const campaignsAtATime = 4;

/** Runs campaigns while this process leads, and begins one for every stamp that is to be drained. */
export async function runCampaigns(
  deps: ReconcileDeps & { readonly random: Random },
  token: FencingToken,
  signal: AbortSignal,
): Promise<void> {
  const lost = new AbortController();
  const ending = AbortSignal.any([signal, lost.signal]);
  const turn: Turn = { token, signal: ending };
  const campaigns = createTurns({
    turn: (id) => reconcileCampaign(deps, id, turn),
    concurrency: campaignsAtATime,
    clock: deps.clock,
    random: deps.random,
    signal: ending,
    onError: (campaign, caught) => {
      const error = StampyardError.from(caught);
      if (error.code === "STALE_LEADER") lost.abort(error);
      if (error.code === "RECOVERING" || error.code === "STALE_REVISION") return;
      deps.log.error({ campaign, code: error.code, err: error }, "a turn of a campaign failed");
    },
  });
  let changed = true;
  const unwatch = deps.store.watch(({ kind }) => {
    if (watched.has(kind)) changed = true;
  });
  try {
    while (!ending.aborted) {
      if (changed) {
        changed = false;
        await look(deps, campaigns.wake, turn).catch((caught: unknown) => {
          changed = true;
          const error = StampyardError.from(caught);
          if (error.code === "STALE_LEADER") lost.abort(error);
          else if (!ending.aborted) deps.log.warn({ err: error }, "campaigns cannot be read");
        });
      }
      await deps.clock.sleep(everyMs, ending).catch(() => {});
    }
  } finally {
    unwatch();
    await campaigns.idle();
  }
  if (lost.signal.aborted) throw lost.signal.reason;
}

const watched: ReadonlySet<string> = new Set(["campaign", "move", "tenant", "stamp", "fleet", "mode"]);

async function look(deps: CampaignDeps, wake: (id: string) => void, turn: Turn): Promise<void> {
  if ((await deps.store.meta()).mode !== "normal") return;
  await beginDrains(deps, turn);
  for (const id of await deps.store.campaigns.open()) wake(id);
}

/** A stamp that is to be drained has its campaign, whoever wanted it: a person, a pool, or an older version of ours. */
export async function beginDrains({ store, log }: CampaignDeps, turn: Turn): Promise<void> {
  for (const { stamp, deadline, reason } of await store.campaigns.undrained()) {
    const until = deadline === undefined ? {} : { deadline };
    const input = { kind: "drain", subject: stamp, settings: campaignSettings({}), items: [], ...until } as const;
    const { value } = await store.campaigns.begin(input, writeContext(turn, reason));
    log.info({ campaign: value.id, stamp }, "the drain of a stamp begins");
  }
}
