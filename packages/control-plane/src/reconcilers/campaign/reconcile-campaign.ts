import {
  afterRefusal,
  type Campaign,
  type CampaignAction,
  type CampaignItem,
  type CampaignPlan,
  endedCampaigns,
  endedItems,
  type Instant,
  planCampaign,
  sameState,
  StampyardError,
} from "@stampyard/domain";
import type { Revisioned } from "../../store/port.ts";
import { again, type ReconcileDeps, rest, type Turn, type TurnEnd, writeContext } from "../turn.ts";

export type CampaignDeps = Pick<ReconcileDeps, "store" | "clock" | "log" | "events">;

/** Budgets, deadlines and rooms change without an event. */
const lookEveryMs = 10_000;

/**
 * One turn of a campaign: read, plan, record the intent, begin moves. What is true of tenants and moves is read every
 * time, so that a turn that died anywhere is repeated without harm (I27).
 */
export async function reconcileCampaign(deps: CampaignDeps, id: string, turn: Turn): Promise<TurnEnd> {
  const found = await deps.store.campaigns.read(id);
  if (found === undefined || endedCampaigns.includes(found.value.state.kind)) return rest;
  const items = await deps.store.campaigns.allItems(id);
  const plan = await planOf(deps, found.value, items);
  if (plan === undefined) return rest;
  const written = await record(deps, found, items, plan, turn);
  if (plan.next.kind !== found.value.state.kind) return again;
  const begun = await act(deps, written, plan, turn);
  return begun > 0 ? again : { kind: "rest", until: Math.min(plan.lookAt ?? Number.MAX_SAFE_INTEGER, nextLook(deps)) };
}

function nextLook({ clock }: CampaignDeps): Instant {
  return clock.now() + lookEveryMs;
}

async function planOf(
  { store, clock }: CampaignDeps,
  campaign: Campaign,
  items: readonly CampaignItem[],
): Promise<CampaignPlan | undefined> {
  const named = items.filter(({ state }) => !endedItems.includes(state.kind)).map(({ tenant }) => tenant);
  try {
    const world = await store.campaigns.world(campaign, campaign.kind === "drain" ? undefined : named);
    const deadline = world.stamp?.deadline;
    return planCampaign({ ...campaign, ...(deadline === undefined ? {} : { deadline }) }, items, world, clock.now());
  } catch (caught) {
    // Destroyed after its last tenant had left, between two turns.
    if (StampyardError.from(caught).code !== "STAMP_NOT_FOUND") throw caught;
    const world = { tenants: [], candidates: [], settingsOf: () => ({}), moves: [], atWork: new Map() };
    return planCampaign(campaign, items, world, clock.now());
  }
}

async function record(
  deps: CampaignDeps,
  found: Revisioned<Campaign>,
  before: readonly CampaignItem[],
  { next, items, waitingOn }: CampaignPlan,
  turn: Turn,
): Promise<Revisioned<Campaign>> {
  const old = new Map(before.map((item) => [item.tenant, item]));
  const changed = items.filter((item) => {
    const was = old.get(item.tenant);
    return was === undefined || was.from !== item.from || !sameState(was.state, item.state);
  });
  const { waitingOn: _, ...kept } = found.value;
  const campaign: Campaign = { ...kept, state: next, ...(waitingOn === undefined ? {} : { waitingOn }) };
  if (waitingOn !== undefined && waitingOn !== found.value.waitingOn) {
    deps.events.publish({ kind: "waiting", subject: `campaign/${campaign.id}`, why: waitingOn });
  }
  if (next.kind !== found.value.state.kind) {
    const { id, kind, subject } = campaign;
    deps.log.info({ campaign: id, subject, phase: next.kind }, `the ${kind} of ${subject} is ${next.kind}`);
  }
  return await deps.store.campaigns.write(campaign, found.revision, changed, writeContext(turn));
}

/** @returns how many moves were begun; what is taken back or ended tells so by an event when it is */
async function act(
  deps: CampaignDeps,
  { value: campaign, revision }: Revisioned<Campaign>,
  plan: CampaignPlan,
  turn: Turn,
): Promise<number> {
  const refused: CampaignItem[] = [];
  let begun = 0;
  for (const action of plan.actions) {
    turn.signal.throwIfAborted();
    try {
      await take(deps, campaign, action, turn);
      if (action.kind === "move") begun += 1;
    } catch (caught) {
      const error = StampyardError.from(caught);
      if (!isRefusal(error)) throw error;
      const item = action.kind === "move" ? plan.items.find(({ tenant }) => tenant === action.tenant) : undefined;
      deps.log.info({ campaign: campaign.id, code: error.code, ...action }, error.message);
      if (item === undefined) continue;
      refused.push({ ...item, state: afterRefusal(campaign, item, error.message, deps.clock.now()) });
    }
  }
  if (refused.length > 0) await deps.store.campaigns.write(campaign, revision, refused, writeContext(turn));
  return begun;
}

async function take(
  { store }: CampaignDeps,
  { id, kind, subject, settings }: Campaign,
  action: CampaignAction,
  turn: Turn,
): Promise<void> {
  const why = kind === "drain" ? `Drain of stamp ${subject}` : `Rebalancing of pool ${subject}`;
  const ctx = writeContext(turn, why);
  switch (action.kind) {
    case "move": {
      const { maxPauseMs, wayBackMs } = settings;
      await store.moves.request(
        { tenant: action.tenant, to: action.to, maxPauseMs, restMs: wayBackMs, campaign: id },
        ctx,
      );
      return;
    }
    case "abort":
      await store.moves.abort(action.move, {}, ctx);
      return;
    case "finish":
      await store.moves.finish(action.move, {}, ctx);
  }
}

/** What the world has against it, and not what is wrong with us. */
function isRefusal({ code }: StampyardError): boolean {
  return !["INTERNAL", "STALE_LEADER", "STALE_REVISION", "RECOVERING", "TIMEOUT"].includes(code);
}
