import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadDirectory, newDirectory, openDirectoryFiles } from "./directory-files.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "stampyard-files-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const position = { incarnation: 1, version: 1, chain: "a".repeat(64) };
const keyOf = (directory: ReturnType<typeof newDirectory> | undefined) => directory?.freeze().state.hashKey;

test("newDirectory() draws a hash key for each table, so that nobody can choose names that collide", () => {
  const keys = Array.from({ length: 20 }, () => JSON.stringify(keyOf(newDirectory())));
  expect(new Set(keys).size).toBe(20);
  // The successor that a snapshot of the feed is built in must not fall back to a key that everybody knows.
  const table = newDirectory();
  expect(keyOf(table.successor())).toEqual(keyOf(table));
});

test("a snapshot file keeps the key it was made under, and only its owner reads it", async () => {
  const table = newDirectory();
  for (let number = 0; number < 2_000; number++) {
    table.apply({
      kind: "tenant-put",
      tenant: `t${number}`,
      stamp: "s-1",
      epoch: 1,
      hostnames: [`h${number}.test.com`],
    });
  }
  const { files } = await loadDirectory(folder);
  const writer = openDirectoryFiles(folder, files, { onDurable() {}, onTrouble: expect.unreachable });
  writer.snapshot(table, position);
  // Written while the table goes on: the file holds the moment, not this.
  for (let number = 0; number < 2_000; number++) table.apply({ kind: "tenant-remove", tenant: `t${number}` });
  await writer.close();

  expect((await stat(join(folder, "directory-00000001.snapshot"))).mode & 0o777).toBe(0o600);
  const loaded = await loadDirectory(folder);
  expect(loaded.problems).toEqual([]);
  expect(loaded.position).toEqual(position);
  expect(keyOf(loaded.directory)).toEqual(keyOf(table));
  expect(loaded.directory?.counts()).toMatchObject({ tenants: 2_000, hostnames: 2_000 });
  expect(loaded.directory?.lookupHostname("h1999.test.com")?.tenant).toBe("t1999");
});
