import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, lightFleet, type LightFleet } from "./light-fleet.ts";

/** A new release under traffic, on real parts. */

let fleet: LightFleet;
beforeAll(() => {
  fleet = lightFleet("update-test");
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
}, 60_000);

test("an update loses no request, and `apply --wait` returns when routers send requests to the new release", async () => {
  const { router } = await fleet.up();
  await fleet.json("tenant", "create", "acme", "--wait");
  const failed: unknown[] = [];
  const versions = new Set<string>();
  let sent = 0;
  let isOver = false;
  const traffic = async () => {
    while (!isOver) {
      const answer = await ask(router, "acme");
      sent++;
      if (answer.status === 200) versions.add(answer.text);
      else failed.push(answer);
      await delay(20);
    }
  };
  const flowing = traffic();
  // The neighbour takes longer than a replaced process stays on its own account.
  const began = Date.now();
  fleet.release("2.0.0", 5_500);
  const applied = await fleet.run(["apply", "--wait"]);
  expect(applied).toMatchObject({ code: 0 });
  const first = await Promise.all(Array.from({ length: 20 }, () => ask(router, "acme")));
  expect(first.map(({ text }) => text)).toEqual(Array.from({ length: 20 }, () => "2.0.0"));
  // The old process ends meanwhile.
  await delay(5_200);
  isOver = true;
  await flowing;
  expect(failed).toEqual([]);
  expect([...versions]).toEqual(["1.0.0", "2.0.0"]);
  expect(sent).toBeGreaterThan(200);

  const { observation } = await fleet.json<{ observation: { components: { restarts: number; since: string }[] } }>(
    "stamp",
    "show",
    "shared-1",
  );
  for (const { restarts, since } of observation.components) {
    expect(restarts).toBe(0);
    expect(Date.parse(since)).toBeGreaterThanOrEqual(began);
  }
}, 60_000);
