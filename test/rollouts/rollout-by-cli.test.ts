import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, lightFleet, type LightFleet, until } from "../light-fleet.ts";

/** Rollouts as a person and a pipeline use them: the real command line, a real control plane, real stamps. */

interface Line {
  readonly id: string;
  readonly phase: string;
  readonly why?: string;
  readonly stamps: readonly { readonly stamp: string; readonly phase: string }[];
}

let fleet: LightFleet;
let router: string;

beforeAll(async () => {
  fleet = lightFleet("rollout-cli");
  const file = join(fleet.dir, "fleet.yaml");
  const yaml = readFileSync(file, "utf8")
    .replace("min: 1, max: 2", "min: 3, max: 3")
    .replace("canary: false", "canary: { leastPerMinute: 1 }");
  writeFileSync(file, yaml);
  ({ router } = await fleet.up());
  await fleet.json("tenant", "create", "acme", "--wait");
}, 120_000);
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
}, 120_000);

const linesOf = (out: string) =>
  out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
const text = async () => (await ask(router, "acme")).text;

test("a release is planned, goes wave by wave, is watched as lines, and is taken back", async () => {
  fleet.release("2.0.0", 0);
  const applied = await fleet.run(["apply", "--wait"]);
  expect(applied, applied.err).toMatchObject({ code: 0 });
  expect(applied.err).toMatch(
    /rollout ro-\w+ of 2\.0\.0 \/ wave canary \/ shared-\d: done \(updated, 1\.0\.0 to 2\.0\.0\)/,
  );
  expect(await text()).toBe("2.0.0");
  const matrix = await fleet.json<{ stamps: { version: string; converged: boolean }[] }>("release", "matrix");
  expect(matrix.stamps.map(({ version, converged }) => [version, converged])).toEqual([
    ["2.0.0", true],
    ["2.0.0", true],
    ["2.0.0", true],
  ]);
  const diff = await fleet.run(["release", "diff", "1.0.0", "--stamp", "shared-1"]);
  expect(diff.code, "something would change").toBe(2);
  expect(diff.out).toContain("version");

  const undone = await fleet.run(["rollout", "undo", "--reason", "reports are wrong", "-o", "json"]);
  expect(undone.code, undone.err).toBe(0);
  const seen = linesOf(undone.out);
  expect(seen.at(-1)).toMatchObject({ phase: "done" });
  expect(seen.at(-1)?.stamps.map(({ phase }) => phase)).toEqual(["updated", "updated", "updated"]);
  expect(await text()).toBe("1.0.0");
  const audit = await fleet.json<{ items: { action: string; reason?: string }[] }>(
    "audit",
    "list",
    "--subject",
    `rollout/${seen[0]?.id}`,
  );
  expect(audit.items).toContainEqual(expect.objectContaining({ action: "rollout.start", reason: "reports are wrong" }));
}, 120_000);

test("a rollout that waits for a person ends its watcher with 3, goes on by a word, and is aborted by one", async () => {
  const preview = await fleet.run(["rollout", "start", "--release", "2.0.0", "--canary", "shared-3", "--dry-run"]);
  expect(preview.out).toMatch(/^canary +shared-3 /m);
  expect(preview.out).toMatch(/Nothing was changed\n$/);
  const wrong = await fleet.run(["rollout", "start", "--release", "2.0.0", "--canary", "shared-9"]);
  expect(wrong.err).toContain("[STAMP_NOT_FOUND]");

  const started = await fleet.json<{ id: string }>(
    ...["rollout", "start", "--release", "2.0.0", "--canary", "shared-3", "--bake", "1h", "--detach"],
  );
  const watching = fleet.run(["rollout", "watch", started.id, "-o", "json"]);
  await until("its bake", async () => {
    const { phase } = await fleet.json<Line>("rollout", "show", started.id);
    return phase === "baking" ? true : undefined;
  });
  expect((await fleet.run(["rollout", "pause", "--reason", "the fair"])).code).toBe(0);
  const watched = await watching;
  expect(watched.code, watched.err).toBe(3);
  expect(JSON.parse(watched.err)).toMatchObject({ error: { code: "ROLLOUT_PAUSED" } });
  expect(linesOf(watched.out).at(-1)).toMatchObject({ phase: "paused", why: expect.stringContaining("the fair") });
  expect((await fleet.run(["status"])).out).toMatch(new RegExp(`^${started.id} +2\\.0\\.0 +- +paused`, "m"));

  await fleet.json("rollout", "resume", started.id);
  await fleet.json("rollout", "promote", started.id, "--reason", "looked at it");
  await until("the second wave", async () => {
    const { stamps } = await fleet.json<Line>("rollout", "show", started.id);
    return stamps.filter(({ phase }) => phase === "updated").length === 3 ? true : undefined;
  });
  const begun = Date.now();
  const aborted = await fleet.run(["rollout", "abort", "--reason", "orders are slow"]);
  expect(aborted.code, aborted.err).toBe(0);
  expect(Date.now() - begun, "within 60 s").toBeLessThan(60_000);
  expect(aborted.out).toContain("3 back on what they ran");
  expect(await text()).toBe("1.0.0");
  const late = await fleet.run(["rollout", "watch", started.id]);
  expect(late.code).toBe(1);
  expect(late.err).toMatch(/was taken back: .*orders are slow.* \[ROLLOUT_ABORTED\]/);
}, 120_000);

test("a freeze holds a rollout back until it ends, a pin leaves a stamp out, and a hotfix wants a reason", async () => {
  const { id: freeze } = await fleet.json<{ id: string }>("freeze", "--reason", "the fair", "--stops", "rollouts");
  await fleet.json("stamp", "pin", "shared-2", "--for", "1h", "--reason", "a long import");
  const started = await fleet.json<{ id: string }>("rollout", "start", "--release", "2.0.0", "--detach");
  const held = await until("the freeze to be named", async () => {
    const { out } = await fleet.run(["rollout", "show", started.id]);
    return out.includes("the fair") ? out : undefined;
  });
  expect(held).toMatch(/^Phase: +queued$/m);
  expect((await fleet.run(["rollout", "start", "--hotfix"])).code).toBe(1);
  expect((await fleet.run(["unfreeze", freeze])).code).toBe(0);
  const ended = await fleet.run(["rollout", "watch", started.id]);
  expect(ended.code, ended.err).toBe(0);
  const { stamps } = await fleet.json<Line>("rollout", "show", started.id);
  expect(stamps.map(({ stamp, phase }) => [stamp, phase]).sort()).toEqual([
    ["shared-1", "updated"],
    ["shared-2", "skipped"],
    ["shared-3", "updated"],
  ]);
  expect((await fleet.run(["release", "matrix"])).out).toMatch(/^shared-2 .*until .*: a long import$/m);
}, 120_000);
