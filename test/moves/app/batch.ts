import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { Pool } from "pg";
import { type Level, levels, transact } from "./transact.ts";

/**
 * Writes without any request, for whatever tenant is at home here, and writes down what became of each write. It looks
 * at the home only now and then, so the fence has something to refuse.
 */
const stamp = process.env["STAMP"] ?? "";
const journal = join(process.env["JOURNALS"] ?? ".", `batch-${stamp}-${process.pid}.jsonl`);
const pool = new Pool({
  connectionString: process.env["DATABASE_URL"],
  max: 2,
  connectionTimeoutMillis: 3_000,
  statement_timeout: 8_000,
  application_name: "history-batch",
});
pool.on("error", () => {});
process.on("SIGTERM", () => process.exit(0));

const note = (line: unknown) => appendFileSync(journal, `${JSON.stringify(line)}\n`);
const now = () => Number(process.hrtime.bigint()) / 1e6;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function homes(): Promise<readonly string[]> {
  const { rows } = await pool.query<{ tenant: string }>(
    "select distinct tenant_id as tenant from lists where name = 'batch' and exists (select from stampyard.tenant_home h where h.tenant = tenant_id and h.state in ('active', 'fenced'))",
  );
  return rows.map(({ tenant }) => tenant);
}

async function write(tenant: string, value: string, level: Level): Promise<void> {
  const op = { kind: "append", tenant, key: "batch", value, stamp };
  note({ ...op, start: now() });
  const done = await transact(pool, level, async (db) => {
    // The snapshot is taken here, and may be older than the fence when the row is written.
    await db.query("select length from lists where tenant_id = $1 and name = 'batch'", [tenant]);
    await pause(5);
    await db.query("update lists set length = length + 1 where tenant_id = $1 and name = 'batch'", [tenant]);
    await db.query("insert into entries (tenant_id, list, value, stamp) values ($1, 'batch', $2, $3)", [
      tenant,
      value,
      stamp,
    ]);
  });
  note({ ...op, end: now(), outcome: done.outcome, ...(done.outcome === "ok" ? {} : { code: done.code }) });
}

for (let n = 1; ; ) {
  try {
    const tenants = await homes();
    for (let round = 0; round < 8; round++) {
      for (const tenant of tenants) {
        await write(tenant, `batch-${stamp}-${process.pid}-${n}`, levels[n % levels.length] ?? "read committed");
        n += 1;
      }
      await pause(40);
    }
  } catch {
    await pause(200);
  }
}
