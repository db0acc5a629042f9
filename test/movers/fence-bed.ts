import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "@stampyard/domain";
import { installFence, type TenantTable } from "@stampyard/movers";
import type { Cluster, Connection, TestDatabase } from "./cluster.ts";

export const clock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => delay(ms, undefined, { ...(signal === undefined ? {} : { signal }) }),
};

export const notes: TenantTable = {
  schema: "public",
  table: "notes",
  tenantColumn: "tenant_id",
  key: ["tenant_id", "id"],
};
export const isolationLevels = ["read committed", "repeatable read", "serializable"] as const;

/** A database with a pooled table of two tenants at home, `acme` and `bolt`, and the fence in `enforce`. */
export async function fencedDatabase(cluster: Cluster, more = ""): Promise<TestDatabase> {
  const db = await cluster.database();
  await db.run(
    "stampyard_owner",
    `create table notes (tenant_id text not null, id bigint not null, body text, primary key (tenant_id, id));
     insert into notes select t, g, 'old' from unnest(array['acme', 'bolt']) t, generate_series(1, 5) g; ${more}`,
  );
  await db.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch) values ('acme', 'active', 1), ('bolt', 'active', 1)",
  );
  await using admin = await db.connect("postgres");
  await installFence(admin, [notes], "enforce", { clock });
  return db;
}

/** What a statement came to: `ok`, or the five characters of its refusal. */
export async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (caught) {
    return caught instanceof Error && "code" in caught ? String(caught.code) : String(caught);
  }
}

/** Begins a transaction whose snapshot is taken now. */
export async function begin(connection: Connection, level: string): Promise<void> {
  await connection.query(`begin isolation level ${level}`);
  await connection.query("select count(*) from notes");
}

export async function capturedKeys(db: TestDatabase): Promise<string[]> {
  const rows = await db.run("stampyard_mover", "select row_key from stampyard.move_change order by seq");
  return rows.map((row) => JSON.stringify(row["row_key"]));
}
