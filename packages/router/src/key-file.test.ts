import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createKeySaver, loadKeys } from "./key-file.ts";
import type { StampKeys } from "./route-signer.ts";
import { keyOf } from "./test-bed/test-bed.ts";

test("a saver is busy until the newest keys are on disk, and then says so", async () => {
  const folder = await mkdtemp(join(tmpdir(), "stampyard-keys-"));
  const keys = new Map<string, StampKeys>([["eu-1", [keyOf("k1", 1)]]]);
  const told: boolean[] = [];
  const saver = createKeySaver(folder, keys, expect.unreachable, () => told.push(saver.busy()));
  expect(saver.busy()).toBe(false);
  saver.save();
  expect(saver.busy()).toBe(true);
  keys.set("eu-2", [keyOf("k2", 2)]);
  saver.save();
  await saver.done();
  expect(told).toEqual([false]);
  expect(await loadKeys(folder)).toEqual(keys);
  await rm(folder, { recursive: true });
});
