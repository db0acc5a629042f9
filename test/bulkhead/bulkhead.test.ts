import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  eventually,
  hostOf,
  type RouterUnderTest,
  type StampAt,
  startRouterUnderTest,
} from "../conformance/router-under-test.ts";
import { type FaultyStamp, faults, startFaultyStamp } from "./faulty-stamp.ts";
import { residentMiB, report } from "../long-report.ts";
import { askRepeatedly, besiege, exchange, open } from "./load.ts";

/** The long run is `npm run soak:bulkhead`. */
const requests = Number(process.env["STAMPYARD_SOAK_REQUESTS"] ?? "2000");
const besiegers = 24;
const victimsPerStamp = 4;

let sick: FaultyStamp;
let others: FaultyStamp[];
let stamps: StampAt[];
let router: RouterUnderTest;

beforeAll(async () => {
  sick = await startFaultyStamp("sick");
  others = await Promise.all(["first", "second", "third"].map(startFaultyStamp));
  stamps = [sick, ...others].map(({ name, port }) => ({ stamp: name, tenant: `of-${name}`, port }));
});
afterAll(async () => {
  await Promise.all([sick, ...(others ?? [])].map((stamp) => stamp.stop()));
});

// A router of its own for each fault: what one left behind must not hide the next.
beforeEach(async () => {
  const timeouts = { connectMs: 500, idleMs: 1_500 };
  router = await startRouterUnderTest(stamps, { maxInFlightPerStamp: 64 }, { timeouts });
});
afterEach(async () => {
  await router[Symbol.asyncDispose]();
});

/** How many of each status the clients of the sick stamp got. */
function answersOf(sieges: readonly Map<string, readonly number[]>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const siege of sieges) {
    for (const [status, times] of siege) counts[status] = (counts[status] ?? 0) + times.length;
  }
  return counts;
}

describe("a fault of one stamp is nobody else's (I12)", () => {
  test.each(faults)(
    "a stamp that %s: no error at the other stamps",
    async (fault) => {
      await sick.break(fault);
      const [startedAt, memoryBefore] = [performance.now(), residentMiB()];
      let asked = 0;
      const more = () => asked < requests;
      const next = () => {
        asked += 1;
        return asked <= requests;
      };
      const siege = Array.from({ length: besiegers }, () => besiege(router.port, hostOf("of-sick"), more, 500));
      const loads = others.flatMap(({ name }) =>
        Array.from({ length: victimsPerStamp }, () => askRepeatedly(router.port, hostOf(`of-${name}`), name, next)),
      );
      const results = await Promise.all(loads);
      const sieges = await Promise.all(siege);
      const complaints = results.flatMap((result) => result.complaints);
      report(fault, {
        requests: results.reduce((sum, result) => sum + result.asked, 0),
        errors: complaints.length,
        complaints: complaints.slice(0, 10),
        ofTheSickStamp: answersOf(sieges),
        seconds: Math.round((performance.now() - startedAt) / 100) / 10,
        rssMiB: { before: memoryBefore, after: residentMiB() },
      });
      expect(complaints).toEqual([]);
      expect(results.reduce((sum, result) => sum + result.asked, 0)).toBeGreaterThanOrEqual(requests);

      // Its own tenants are served again soon after it is well.
      await sick.heal();
      await eventually(async () => {
        const socket = await open(router.port);
        const text = await exchange(socket, hostOf("of-sick"), 1_000);
        socket.destroy();
        expect(text).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\nsick$/);
      }, 5_000);
    },
    requests > 2_000 ? 1_800_000 : 30_000,
  );

  test("while a stamp is out its tenants hear 503 with Retry-After at once, and nothing of the stamp", async () => {
    await sick.break("refuses connections");
    const answers: { text: string; ms: number }[] = [];
    for (let n = 0; n < 100; n++) {
      const socket = await open(router.port);
      const startedAt = performance.now();
      const text = await exchange(socket, hostOf("of-sick"), 5_000);
      answers.push({ text, ms: performance.now() - startedAt });
      socket.destroy();
    }
    await sick.heal();
    for (const { text } of answers) {
      expect(text).toMatch(/^HTTP\/1\.1 503 /);
      expect(text).toMatch(/^retry-after: [1-9]/im);
      expect(text).not.toContain("sick");
    }
    const waits = new Set(answers.map(({ text }) => /^retry-after: (.*)$/im.exec(text)?.[1]));
    expect(waits.size, "Retry-After has jitter").toBeGreaterThan(1);
    // A quarter, because a busy machine delays the others; a router that waits for something delays all.
    const quarter = answers.map(({ ms }) => ms).sort((a, b) => a - b)[25] ?? 0;
    expect(quarter).toBeLessThan(10);
  });

  test("a stamp that hangs holds a bounded number of requests; the excess is refused at once (I13)", async () => {
    await eventually(async () => {
      const socket = await open(router.port);
      const text = await exchange(socket, hostOf("of-sick"), 1_000);
      socket.destroy();
      expect(text).toMatch(/^HTTP\/1\.1 200 /);
    }, 8_000);
    await sick.break("accepts and hangs");
    const before = sick.requests();
    const statuses = await Promise.all(
      Array.from({ length: 300 }, async () => {
        const socket = await open(router.port);
        const text = await exchange(socket, hostOf("of-sick"), 5_000);
        socket.destroy();
        return text.slice(9, 12);
      }),
    );
    await sick.heal();
    expect(sick.requests() - before).toBeLessThanOrEqual(64);
    expect(statuses.every((status) => status === "503" || status === "504" || status === "502")).toBe(true);
    expect(statuses.filter((status) => status === "503").length).toBeGreaterThanOrEqual(200);
  }, 30_000);
});
