import { readdir, readFile } from "node:fs/promises";
import type { Client } from "pg";

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
}

const fileName = /^([0-9]{3})-([a-z0-9-]+)\.sql$/;
const directory = new URL("../migrations/", import.meta.url);

/**
 * The migrations in order. They live beside `src` and `dist`, so both find them.
 * @throws Error when a file is misnamed or a number is missing or used twice
 */
export async function readMigrations(from: URL = directory): Promise<readonly Migration[]> {
  const files = (await readdir(from)).sort();
  const migrations: Migration[] = [];
  for (const [index, file] of files.entries()) {
    const [, number, name] = fileName.exec(file) ?? [];
    if (number === undefined || name === undefined) throw new Error(`Migration file ${file} is not named NNN-name.sql`);
    if (Number(number) !== index + 1) throw new Error(`Migration ${file} should have number ${index + 1}`);
    migrations.push({ number: Number(number), name, sql: await readFile(new URL(file, from), "utf8") });
  }
  return migrations;
}

/** Any fixed number; every process that migrates this application takes the same lock. */
const lock = 7_204_117;

/**
 * Brings the database to the last migration, as the role that owns the tables; returns the names applied now. Two runs
 * at once wait for each other (the lock is let go when `client` ends), and a run that dies leaves whole migrations only.
 * The application's own role gets its rights on new tables from default privileges, so no role is named here.
 */
export async function migrate(client: Client, migrations: readonly Migration[]): Promise<readonly string[]> {
  const applied: string[] = [];
  await client.query("select pg_advisory_lock($1)", [lock]);
  await client.query(`create table if not exists migrations (
    number integer primary key, name text not null, applied_at timestamptz not null default now())`);
  const { rows } = await client.query<{ number: number }>("select number from migrations");
  const known = new Set(rows.map((row) => row.number));
  for (const migration of migrations) {
    if (known.has(migration.number)) continue;
    await apply(client, migration);
    applied.push(migration.name);
  }
  return applied;
}

async function apply(client: Client, { number, name, sql }: Migration): Promise<void> {
  await client.query("begin");
  try {
    await client.query(sql);
    await client.query("insert into migrations (number, name) values ($1, $2)", [number, name]);
    await client.query("commit");
  } catch (caught) {
    await client.query("rollback");
    throw new Error(`Migration ${number} (${name}) failed`, { cause: caught });
  }
}
