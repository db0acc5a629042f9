import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, lightFleet, type LightFleet } from "./light-fleet.ts";

/** A new release under traffic, and the way back from one, on real parts. */

let fleet: LightFleet;
beforeAll(() => {
  fleet = lightFleet("update-test");
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
}, 60_000);

let router = "";

/** Asks all the while, and keeps what was answered otherwise than with 200. */
function traffic() {
  const failed: unknown[] = [];
  const versions: string[] = [];
  let sent = 0;
  let isOver = false;
  const flowing = (async () => {
    while (!isOver) {
      const answer = await ask(router, "acme");
      sent++;
      if (answer.status !== 200) failed.push(answer);
      else if (versions.at(-1) !== answer.text) versions.push(answer.text);
      await delay(20);
    }
  })();
  return {
    failed,
    /** In the order in which they were seen. */
    versions,
    async end(): Promise<number> {
      isOver = true;
      await flowing;
      return sent;
    },
  };
}

async function served(): Promise<readonly string[]> {
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(router, "acme")));
  return [...new Set(answers.map(({ text }) => text))];
}

interface Shown {
  readonly observation: {
    readonly components: readonly {
      readonly name: string;
      readonly pid?: number;
      readonly restarts: number;
      readonly since: string;
    }[];
  };
}

test("an update loses no request, and `apply --wait` returns when routers send requests to the new release", async () => {
  ({ router } = await fleet.up());
  await fleet.json("tenant", "create", "acme", "--wait");
  const load = traffic();
  // The neighbour takes longer than a replaced process stays on its own account.
  const began = Date.now();
  fleet.release("2.0.0", 5_500);
  expect(await fleet.run(["apply", "--wait"])).toMatchObject({ code: 0 });
  expect(await served()).toEqual(["2.0.0"]);
  // The old process ends meanwhile.
  await delay(5_200);
  expect(await load.end()).toBeGreaterThan(200);
  expect(load.failed).toEqual([]);
  expect(load.versions).toEqual(["1.0.0", "2.0.0"]);

  const { observation } = await fleet.json<Shown>("stamp", "show", "shared-1");
  for (const { restarts, since } of observation.components) {
    expect(restarts).toBe(0);
    expect(Date.parse(since)).toBeGreaterThanOrEqual(began);
  }
}, 60_000);

test("a release runs from files that nobody can change, and the same files again are the same release (I37)", async () => {
  const source = join(fleet.dir, "serve.mjs");
  const text = readFileSync(source, "utf8");
  const { releaseDigest } = await fleet.json<{ releaseDigest: string }>("plan");
  // A mistake in the folder that it was applied from, and then no file at all.
  writeFileSync(source, "process.exit(1)");
  rmSync(source);
  const { observation } = await fleet.json<Shown>("stamp", "show", "shared-1");
  process.kill(observation.components[0]?.pid ?? 0, "SIGKILL");
  const deadline = Date.now() + 10_000;
  while ((await ask(router, "acme")).text !== "2.0.0") {
    expect(Date.now(), "it comes back from the kept files").toBeLessThan(deadline);
    await delay(50);
  }
  writeFileSync(source, text);
  expect(await fleet.json("apply")).toMatchObject({ releaseDigest, plan: { changes: [] } });
  appendFileSync(source, "// another release\n");
  const planned = await fleet.run(["plan", "-o", "json"]);
  const { changes } = JSON.parse(planned.out) as { changes: { kind: string }[] };
  expect(changes.map(({ kind }) => kind)).toEqual(["release-create", "stamp-update"]);
  writeFileSync(source, text);
}, 60_000);

test("a release that does not get healthy goes back by itself, and a finished one is undone, without a lost request", async () => {
  const load = traffic();
  // Its first service is healthy, its second one never is.
  fleet.release("3.0.0", 3_600_000);
  const applied = await fleet.json<{ rollout: string }>("apply");
  expect(await fleet.run(["rollout", "watch", applied.rollout, "--timeout", "1"])).toMatchObject({ code: 3 });
  expect(await fleet.run(["rollout", "abort", applied.rollout])).toMatchObject({ code: 0 });
  const aborted = Date.now();
  expect(await fleet.run(["rollout", "watch", applied.rollout])).toMatchObject({ code: 1 });
  expect(Date.now() - aborted).toBeLessThan(20_000);
  expect(await served()).toEqual(["2.0.0"]);

  fleet.release("4.0.0", 0);
  const good = await fleet.json<{ rollout: string }>("apply", "--wait");
  expect(await served()).toEqual(["4.0.0"]);
  expect(await fleet.run(["rollout", "undo", good.rollout])).toMatchObject({ code: 0 });
  expect(await served()).toEqual(["2.0.0"]);
  await delay(5_200);
  await load.end();
  expect(load.failed).toEqual([]);
  expect(load.versions).toEqual(["2.0.0", "4.0.0", "2.0.0"]);
}, 120_000);

test("a part of a release runs from that release's files, and what stays does not notice", async () => {
  const source = join(fleet.dir, "serve.mjs");
  writeFileSync(
    source,
    readFileSync(source, "utf8").replace("process.env.VERSION)", 'process.env.VERSION + ", other files")'),
  );
  // Its second service takes longer than whoever gives it up.
  fleet.release("5.0.0", 30_000);
  const { rollout } = await fleet.json<{ rollout: string }>("apply");
  expect(await fleet.run(["rollout", "abort", rollout])).toMatchObject({ code: 0 });
  expect(await fleet.run(["rollout", "watch", rollout])).toMatchObject({ code: 1 });
  const pidOf = async (name: string) => {
    const { observation } = await fleet.json<Shown>("stamp", "show", "shared-1");
    return observation.components.find((component) => component.name === name)?.pid;
  };
  const before = await pidOf("slow");
  const load = traffic();
  expect(await fleet.run(["rollout", "start", "--release", "5.0.0", "--components", "api"])).toMatchObject({ code: 0 });
  await expect.poll(served, { timeout: 10_000 }).toEqual(["5.0.0, other files"]);
  await load.end();
  expect(load.failed).toEqual([]);
  expect(await pidOf("slow")).toBe(before);
}, 60_000);
