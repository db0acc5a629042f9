import { StampyardError } from "@stampyard/domain";
import type { ClientBase } from "pg";
import { schema1 } from "./schema-1.ts";
import { schema2 } from "./schema-2.ts";
import { schema3 } from "./schema-3.ts";
import { schema4 } from "./schema-4.ts";
import { schema5 } from "./schema-5.ts";

/** In order; a number is never reused, and the text of a released one never changes. */
const migrations: readonly { readonly version: number; readonly sql: string }[] = [
  { version: 1, sql: schema1 },
  { version: 2, sql: schema2 },
  { version: 3, sql: schema3 },
  { version: 4, sql: schema4 },
  { version: 5, sql: schema5 },
];

export const schemaName = "stampyard_control";
export const latestSchemaVersion = migrations.length;

/** Any number, but the same in every version of ours: two processes that start together migrate one after the other. */
const migrationLock = 6_205_118_001;

/**
 * Brings the schema to the newest version, one transaction per step.
 * @throws StampyardError WRONG_PHASE when a newer version of ours has been here
 */
export async function migrate(client: ClientBase): Promise<void> {
  await client.query("SELECT pg_advisory_lock($1)", [migrationLock]);
  try {
    const version = await schemaVersion(client);
    if (version > latestSchemaVersion) {
      throw new StampyardError("WRONG_PHASE", `The store has schema ${version}, newer than ${latestSchemaVersion}`, {
        mend: "Start the version of stampyard that wrote it, or a later one.",
      });
    }
    for (const { version: step } of migrations.slice(version)) {
      await client.query("BEGIN");
      try {
        await migrateSteps(client, step - 1, step);
        await client.query("COMMIT");
      } catch (error) {
        await client.query("ROLLBACK");
        throw error;
      }
    }
  } finally {
    await client.query("SELECT pg_advisory_unlock($1)", [migrationLock]);
  }
}

/** Runs the steps after `from` up to `to` inside the caller's transaction. */
export async function migrateSteps(client: ClientBase, from: number, to: number): Promise<void> {
  if (from === 0) {
    await client.query(`CREATE SCHEMA ${schemaName}`);
    await client.query(
      `CREATE TABLE ${schemaName}.migrations (version integer PRIMARY KEY, at timestamptz(3) NOT NULL DEFAULT now())`,
    );
  }
  for (const { version, sql } of migrations.slice(from, to)) {
    await client.query(sql);
    await client.query("INSERT INTO migrations (version) VALUES ($1)", [version]);
  }
}

/** 0 = there is no schema of ours. */
export async function schemaVersion(client: ClientBase): Promise<number> {
  const found = await client.query("SELECT to_regclass($1) AS name", [`${schemaName}.migrations`]);
  if (found.rows[0]?.name === null) return 0;
  const { rows } = await client.query("SELECT coalesce(max(version), 0)::int AS version FROM migrations");
  return rows[0]?.version ?? 0;
}
