import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readMigrations } from "./migrations.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "notes-migrations-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("readMigrations() finds ours, numbered without a gap and safe to repeat", async () => {
  const migrations = await readMigrations();
  expect(migrations.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
  for (const { sql } of migrations) {
    expect(sql.match(/create (?:table|index)/g)?.length).toBe(sql.match(/if not exists/g)?.length);
  }
});

test("our tables carry the tenant first in every key, and no sequence", async () => {
  const sql = (await readMigrations()).map((migration) => migration.sql).join("\n");
  const keys = [...sql.matchAll(/(?:primary key|unique|foreign key) \(([a-z_]+)/g)].map(([, first]) => first);
  expect(keys.length).toBeGreaterThan(15);
  expect(new Set(keys)).toEqual(new Set(["tenant_id"]));
  expect(sql).not.toMatch(/serial|identity|sequence (?!has)/);
});

test("readMigrations() refuses gaps and strange names", async () => {
  const from = pathToFileURL(`${folder}/`);
  await writeFile(join(folder, "002-second.sql"), "");
  await expect(readMigrations(from)).rejects.toThrow("Migration 002-second.sql should have number 1");
  await writeFile(join(folder, "001-First.sql"), "");
  await expect(readMigrations(from)).rejects.toThrow("001-First.sql is not named NNN-name.sql");
});
