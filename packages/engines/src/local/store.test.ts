import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { expect, test } from "vitest";
import { destroyStore, ensureStore, stopStore } from "./store.ts";

async function query(url: string, text: string): Promise<readonly unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

test("ensureStore() starts the control plane's database once, keeps its data over a stop, and can be repeated", async () => {
  // mkdtemp makes 0700, which the database's own user cannot enter: its data then goes elsewhere.
  const dir = mkdtempSync(join(tmpdir(), "stampyard-store-test-"));
  const options = { stateDir: dir, ledgerFile: join(dir, "ledger.json") };
  try {
    const [first, second] = await Promise.all([ensureStore(options), ensureStore(options)]);
    expect(second).toEqual(first);
    await query(first.url, "create schema control; create table control.t (id int); insert into control.t values (1)");
    await stopStore(options);
    await expect(query(first.url, "select 1")).rejects.toThrow();
    expect(await ensureStore(options)).toEqual(first);
    expect(await query(first.url, "select id from control.t")).toEqual([{ id: 1 }]);
  } finally {
    await destroyStore(options);
    rmSync(dir, { recursive: true, force: true });
  }
});
