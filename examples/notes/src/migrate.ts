import { Client } from "pg";
import { readEnvironment } from "./environment.ts";
import { openLog, reasonOf } from "./log.ts";
import { migrate, readMigrations } from "./migrations.ts";

const log = openLog("migrate");

try {
  const { databaseUrl } = readEnvironment(process.env, ["databaseUrl"]);
  const migrations = await readMigrations();
  const client = new Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 5_000,
    application_name: "notes-migrate",
  });
  await client.connect();
  try {
    const applied = await migrate(client, migrations);
    log("migrated", { applied: applied.join(", "), known: migrations.length });
  } finally {
    await client.end();
  }
} catch (caught) {
  const cause = caught instanceof Error && caught.cause !== undefined ? `: ${reasonOf(caught.cause)}` : "";
  log("failed", { reason: `${reasonOf(caught)}${cause}` });
  process.exitCode = 1;
}
