import { afterAll, beforeAll, expect, test } from "vitest";
import { binaryTables } from "../../packages/movers/src/postgres-rows/copy-format.ts";
import { planRows } from "../../packages/movers/src/postgres-rows/plan-rows.ts";
import { type Cluster, startCluster, type TestDatabase } from "./cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const schema = `
create type mood as enum ('sad', 'ok');
create domain short as text check (length(value) < 9);
create table plain (tenant_id text, id uuid, at timestamptz, price numeric, share float8, tags text[], doc jsonb, raw bytea, primary key (tenant_id, id));
create table moods (tenant_id text, id int, moods mood[], primary key (tenant_id, id));
create table one_mood (tenant_id text, id int, mood mood, primary key (tenant_id, id));
create table shorts (tenant_id text, id int, name short, primary key (tenant_id, id));`;

const policy = { tenantColumn: "tenant_id", ids: {}, via: {}, reference: [], ignored: [] };

test("binaryTables() takes tables of built-in types only: numbers of types differ between databases", async () => {
  const names = await binary(await made(schema), await made(`create type other as enum ('a'); ${schema}`));
  expect(names).toEqual(['"public"."plain"']);
});

test("binaryTables() takes no table that is of other types on one of the sides", async () => {
  const changed = schema.replace("raw bytea", "raw bytea, m mood");
  expect(await binary(await made(schema), await made(changed))).toEqual([]);
});

async function made(sql: string): Promise<TestDatabase> {
  const database = await cluster.database();
  await database.run("stampyard_owner", sql);
  return database;
}

async function binary(from: TestDatabase, to: TestDatabase): Promise<readonly string[]> {
  await using source = await from.connect("stampyard_owner");
  await using target = await to.connect("stampyard_owner");
  const { tables } = await planRows(source, policy);
  expect(tables).toHaveLength(4);
  return [...(await binaryTables(source, target, tables))];
}
