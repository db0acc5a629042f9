import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkToken, forgetTokens, freePort, lastToken, type Ledger, portOf, release, uidOf } from "./ledger.ts";
import { isRoot } from "./places.ts";

let dir: string;
let ledger: Ledger;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "stampyard-ledger-test-"));
  for (const name of ["a", "b"]) mkdirSync(join(dir, name));
  ledger = { file: join(dir, "ledger.json"), range: { from: 20_100, to: 20_105 } };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("portOf() gives each key a port of its own, at once and over state directories, and keeps it", async () => {
  const keys = ["api.0:0", "api.1:0"].flatMap((key) => ["a", "b"].map((state) => [join(dir, state), key] as const));
  const first = await Promise.all(keys.map(([state, key]) => portOf(ledger, state, "eu-1", key)));
  expect(new Set(first).size).toBe(4);
  const again = await Promise.all(keys.map(([state, key]) => portOf(ledger, state, "eu-1", key)));
  expect(again).toEqual(first);
});

test("portOf() skips a port that a stranger listens on, lets a freed one rest, and says when none is left", async () => {
  const stranger = createServer();
  await new Promise<void>((settle) => stranger.listen(20_100, "127.0.0.1", settle));
  try {
    const state = join(dir, "a");
    expect(await portOf(ledger, state, "s", "k1")).toBe(20_101);
    await freePort(ledger, state, "s", "k1");
    expect(await portOf(ledger, state, "s", "k2")).toBe(20_102);
    for (const key of ["k3", "k4", "k5", "k6"]) await portOf(ledger, state, "s", key);
    await expect(portOf(ledger, state, "s", "k7")).rejects.toMatchObject({ code: "PORT_TAKEN" });
    await release(ledger, state, "s");
    expect(await portOf(ledger, state, "t", "k1")).toBeGreaterThan(20_100);
  } finally {
    stranger.close();
  }
});

test.runIf(isRoot)("uidOf() gives each stamp a user of its own and takes back those of a lost directory", async () => {
  const one = await uidOf(ledger, join(dir, "a"), "eu-1");
  expect(await uidOf(ledger, join(dir, "b"), "eu-1")).not.toBe(one);
  expect(await uidOf(ledger, join(dir, "a"), "eu-1")).toBe(one);
  rmSync(join(dir, "a"), { recursive: true });
  await portOf(ledger, join(dir, "b"), "eu-1", "k");
  expect(await uidOf(ledger, join(dir, "b"), "eu-2")).toBe(one);
});

test("checkToken() refuses a token lower than one it has seen (I28)", async () => {
  await checkToken(ledger, join(dir, "a"), 5);
  await checkToken(ledger, join(dir, "a"), 5);
  await expect(checkToken(ledger, join(dir, "a"), 4)).rejects.toMatchObject({ code: "STALE_LEADER" });
  await checkToken(ledger, join(dir, "b"), 4);
});

test("forgetTokens() lets the leaders of a new store count from 1 in an old directory", async () => {
  await checkToken(ledger, join(dir, "a"), 5);
  await checkToken(ledger, join(dir, "b"), 4);
  expect(lastToken(ledger, join(dir, "a"))).toBe(5);
  await forgetTokens(ledger, [join(dir, "a")]);
  expect(lastToken(ledger, join(dir, "a"))).toBe(0);
  await checkToken(ledger, join(dir, "a"), 1);
  await expect(checkToken(ledger, join(dir, "b"), 1)).rejects.toMatchObject({ code: "STALE_LEADER" });
});
