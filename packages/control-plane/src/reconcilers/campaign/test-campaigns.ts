import {
  campaignSettings,
  type CampaignSettings,
  type Component,
  type Move,
  type MovePhase,
  type Template,
} from "@stampyard/domain";
import { openStore } from "../../store/open.ts";
import type { Store } from "../../store/port.ts";
import { bringTo, giveUp } from "../../store/test-moves.ts";
import type { TestPostgres } from "../../store/test-postgres.ts";
import {
  applyFleet,
  fleetFixture,
  leaderOf,
  poolFixture,
  publish,
  releaseFixture,
  stampFixture,
  testKeys,
} from "../../store/test-store.ts";
import { reconcileCampaign } from "./reconcile-campaign.ts";
import { beginDrains } from "./run-campaigns.ts";

const database: Component = {
  kind: "postgres",
  name: "db",
  version: 18,
  maxConnections: 20,
  resources: {},
  protect: true,
  ids: {},
  via: {},
  fence: "enforce",
};

/** A real store in which moves go as far as a test says: no stamp runs. */
export async function openCampaigns(postgres: TestPostgres, fence: "enforce" | "report" = "enforce") {
  const url = await postgres.database();
  let ahead = 0;
  const clock = {
    now: () => Date.now() + ahead,
    leap(ms: number) {
      ahead += ms;
    },
    sleep: async () => {},
  };
  const store = await openStore({ url, keys: testKeys, clock });
  const ctx = await leaderOf(store);
  const base = releaseFixture();
  const stages = [{ name: "main", engine: "local", components: [{ ...database, fence }] }] as Template["stages"];
  const release = { ...base, template: { ...base.template, stages } };
  const pools = [poolFixture("shared"), poolFixture("alone", "dedicated")];
  const alone = { pool: "alone", capacity: { tenants: 1, units: {} } };
  const stamps = [...["old", "one", "two"].map((name) => stampFixture(name)), stampFixture("solo", alone)];
  await applyFleet(store, ctx, stamps, { fleet: fleetFixture(pools), release });
  const deps = { store, clock, log: { info() {}, warn() {}, error() {} }, events: { publish() {} } };
  const turn = { token: ctx.token, signal: new AbortController().signal };
  return {
    url,
    store,
    ctx,
    clock,
    deps,
    turn,
    async addTenants(stamp: string, keys: readonly string[], weight?: Readonly<Record<string, number>>): Promise<void> {
      for (const key of keys) {
        await publish(
          store,
          ctx,
          await store.tenants.create({ key, stamp, ...(weight === undefined ? {} : { weight }) }, ctx),
        );
      }
    },
    drain: (stamp: string) => store.stamps.setGoal(stamp, "drained", {}, ctx),
    /** Turns until none asks for another one at once. */
    async turns(id?: string): Promise<void> {
      await beginDrains(deps, turn);
      for (const each of id === undefined ? await store.campaigns.open() : [id]) {
        for (let n = 0; n < 50; n++) if ((await reconcileCampaign(deps, each, turn)).kind === "rest") break;
      }
    },
    async campaignOf(subject: string) {
      const [found] = (await store.campaigns.list({ subject })).items;
      if (found === undefined) throw new RangeError(`No campaign of ${subject}`);
      return found;
    },
    openMoves: () => movesOf(store, { isOpen: true }),
    bringTo: (id: string, phase: MovePhase) => bringTo(store, ctx, id, phase),
    giveUp: (id: string) => giveUp(store, ctx, id),
    settings: (asked: Partial<CampaignSettings> = {}) => campaignSettings(asked),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

export type CampaignBed = Awaited<ReturnType<typeof openCampaigns>>;

async function movesOf(store: Store, filter: { readonly isOpen?: boolean }): Promise<readonly Move[]> {
  const { items } = await store.moves.list(filter);
  return items.map(({ value }) => value).reverse();
}
