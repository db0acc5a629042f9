import type { Component } from "@stampyard/domain";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { reconcileStamp } from "../reconcilers/reconcile-stamp.ts";
import { createWorld, settle, template, type World } from "../reconcilers/test-world.ts";
import type { ReconcileDeps } from "../reconcilers/turn.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { ensureFence } from "./ensure-fence.ts";

const signal = AbortSignal.timeout(120_000);

let postgres: TestPostgres;
let world: World;
let ensured: string[];
beforeAll(async () => {
  postgres = await startTestPostgres();
  const stages = template.stages.map((stage) => ({ ...stage, components: stage.components.map(withFence) }));
  world = await createWorld(postgres, { stages });
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

function withFence(component: Component): Component {
  return component.kind === "postgres" ? { ...component, fence: "enforce", ignored: ["jobs"] } : component;
}

/** A control plane that has just started, whose engine lets an administrator into the database at `url`. */
function depsFor(url: string): ReconcileDeps {
  const deps = world.freshDeps();
  ensured = [];
  return {
    ...deps,
    ensureFence: async (stamp, spec, turn) => {
      ensured.push(stamp.name);
      await ensureFence({ ...deps, engine: { adminUrl: async () => url } }, stamp, spec, turn);
    },
  };
}

async function connect(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client(url);
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

const admin = (moverUrl: string) => moverUrl.replace("stampyard_mover@", "postgres@");

test("a stamp is fenced before it is verified; a table that somebody holds is a setback that names both", async () => {
  const url = admin(await world.giveDatabase("busy-1"));
  await world.createStamp("busy-1");
  await using holder = await connect(`${url}${url.includes("?") ? "&" : "?"}application_name=report`);
  await holder.query(
    "create table notes (tenant_id text not null, id int not null, primary key (tenant_id, id)); create table jobs (id int)",
  );
  await holder.query("begin; lock table notes in row exclusive mode");
  const deps = depsFor(url);
  const turn = { token: world.token, signal };
  const stateOf = async () => (await world.store.stamps.read("busy-1"))?.value;
  for (let n = 0; n < 8 && (await stateOf())?.state.kind !== "failed"; n++) await reconcileStamp(deps, "busy-1", turn);
  const failed = await stateOf();
  expect(failed?.state).toMatchObject({ kind: "failed", cause: expect.stringContaining("Table public.notes") });
  expect(failed?.state).toMatchObject({ cause: expect.stringContaining("(report)") });
  await holder.query("commit");
  await settle(world, deps);
  expect((await stateOf())?.state.kind).toBe("active");
  await expect(holder.query("insert into notes values ('nobody', 1)")).rejects.toMatchObject({ code: "SY001" });
  await holder.query("insert into jobs values (1)");
  // Whoever leads next looks once, and a table that a migration has added since gets its fence.
  await holder.query("create table tags (tenant_id text not null, id int not null, primary key (tenant_id, id))");
  const next = depsFor(url);
  await settle(world, next);
  await settle(world, next);
  expect(ensured.filter((name) => name === "busy-1")).toHaveLength(1);
  await expect(holder.query("insert into tags values ('nobody', 1)")).rejects.toMatchObject({ code: "SY001" });
});

test("a serving stamp whose data has tenants without a home says so, and is tried again later, not at every turn", async () => {
  const url = admin(await world.giveDatabase("odd-1"));
  await world.createStamp("odd-1");
  const deps = { ...depsFor(url), ensureFence: async () => {} };
  await settle(world, deps);
  await using holder = await connect(url);
  await holder.query("create table notes (tenant_id text not null, id int not null, primary key (tenant_id, id))");
  await holder.query("insert into notes values ('ghost', 1)");
  const next = depsFor(url);
  const turn = { token: world.token, signal };
  for (let n = 0; n < 6; n++) await reconcileStamp(next, "odd-1", turn);
  const row = await world.store.stamps.read("odd-1");
  expect(row?.value.state.kind).toBe("active");
  expect(row?.value.waitingOn).toContain("without a home here: ghost");
  expect(ensured).toHaveLength(1);
  await holder.query("insert into stampyard.tenant_home (tenant, state, epoch) values ('ghost', 'active', 1)");
  world.clock.leap(120_000);
  for (let n = 0; n < 4; n++) await reconcileStamp(next, "odd-1", turn);
  expect((await world.store.stamps.read("odd-1"))?.value.waitingOn).toBeUndefined();
  await expect(holder.query("insert into notes values ('nobody', 1)")).rejects.toMatchObject({ code: "SY001" });
});
