import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makePair } from "../../packages/router/src/test-bed/certificates.ts";
import {
  eventually,
  hostOf,
  type RouterUnderTest,
  type StampAt,
  startRouterUnderTest,
} from "../conformance/router-under-test.ts";
import { measureLong, report } from "../long-report.ts";
import { type Carrier, type CarrierClient, carriers, clientsOf, type OpenClient } from "./carriers.ts";
import { type FaultyStamp, faults, startFaultyStamp } from "./faulty-stamp.ts";
import { askRepeatedly, besiege } from "./load.ts";

/** The long run is `npm run soak:bulkhead`. */
const requests = Number(process.env["STAMPYARD_SOAK_REQUESTS"] ?? "2000");
/** Clients of HTTP/2 cost more here than the router does. */
const shareOf: Record<Carrier, number> = { "HTTP/1.1": 1, "HTTP/2": 0.25, WebSocket: 0.5 };
const besiegers = 24;
const victimsPerStamp = 4;
const mostInFlight = 64;

let sick: FaultyStamp;
let others: FaultyStamp[];
let stamps: StampAt[];
let certificates: string;
let router: RouterUnderTest;
let opened: CarrierClient[] = [];

beforeAll(async () => {
  sick = await startFaultyStamp("sick");
  others = await Promise.all(["first", "second", "third"].map(startFaultyStamp));
  stamps = [sick, ...others].map(({ name, port }) => ({ stamp: name, tenant: `of-${name}`, port }));
  certificates = await mkdtemp(join(tmpdir(), "stampyard-bulkhead-"));
  await makePair(certificates, "default", ["localhost"]);
});
afterAll(async () => {
  await Promise.all([sick, ...(others ?? [])].map((stamp) => stamp.stop()));
  await rm(certificates, { recursive: true, force: true });
});

// A router of its own for each fault: what one left behind must not hide the next.
beforeEach(async () => {
  // Of a long run on a machine that does other things too: stamps share this process, and it may stand still for longer.
  const timeouts = { connectMs: 500, idleMs: requests > 2_000 ? 4_000 : 1_500 };
  const tls = { listen: { host: "127.0.0.1", port: 0 }, certificates };
  router = await startRouterUnderTest(stamps, { maxInFlightPerStamp: mostInFlight, tls }, { timeouts });
});
afterEach(async () => {
  for (const client of opened) client.destroy();
  opened = [];
  await router[Symbol.asyncDispose]();
});

/** How clients of a carrier come in. Those that a test that failed did not end are ended after it. */
function doorOf(carrier: Carrier): OpenClient {
  const openClient = clientsOf(carrier, { port: router.port, tlsPort: router.running.tlsPort ?? 0 });
  return async (host) => {
    const client = await openClient(host);
    if (opened.length > 1_000) opened = opened.filter((one) => one.isOpen());
    opened.push(client);
    return client;
  };
}

async function expectServed(openClient: OpenClient, withinMs: number): Promise<void> {
  await eventually(async () => {
    const client = await openClient(hostOf("of-sick"));
    const { text } = await client.ask(1_000);
    client.destroy();
    expect(text).toBe("sick");
  }, withinMs);
}

function sumOf(sieges: readonly ReadonlyMap<string, number>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const siege of sieges) {
    for (const [status, count] of siege) counts[status] = (counts[status] ?? 0) + count;
  }
  return counts;
}

/** Half of them, because a busy machine delays some; a router that waits for something delays all. */
function expectAtOnce(times: readonly number[]): void {
  const half = [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.POSITIVE_INFINITY;
  expect(half).toBeLessThan(10);
}

const cases = carriers.flatMap((carrier) => faults.map((fault) => ({ carrier, fault })));

describe("a fault of one stamp is nobody else's (I12)", () => {
  test.for(cases)(
    "a stamp that $fault: no error at the other stamps, by $carrier",
    { timeout: requests > 2_000 ? 1_800_000 : 30_000 },
    async ({ carrier, fault }, { skip }) => {
      const trouble = await sick.break(fault);
      if (trouble !== undefined) {
        await sick.heal();
        console.warn(`Not tried, a stamp that ${fault}: ${trouble}`);
        skip(trouble);
      }
      const measured = measureLong();
      const openClient = doorOf(carrier);
      const wanted = Math.ceil(requests * shareOf[carrier]);
      let asked = 0;
      const more = () => asked < wanted;
      const next = () => {
        asked += 1;
        return asked <= wanted;
      };
      const tactics = { patienceMs: 500, keeps: carrier === "HTTP/2" };
      const siege = Array.from({ length: besiegers }, () => besiege(openClient, hostOf("of-sick"), more, tactics));
      const loads = others.flatMap(({ name }) =>
        Array.from({ length: victimsPerStamp }, () => askRepeatedly(openClient, hostOf(`of-${name}`), name, next)),
      );
      const results = await Promise.all(loads);
      const sieges = await Promise.all(siege);
      const complaints = results.flatMap((result) => result.complaints);
      report(carrier === "HTTP/1.1" ? fault : `${fault}, by ${carrier}`, {
        requests: results.reduce((sum, result) => sum + result.asked, 0),
        errors: complaints.length,
        complaints: complaints.slice(0, 10),
        ofTheSickStamp: sumOf(sieges),
        ...measured(),
      });
      expect(complaints).toEqual([]);
      expect(results.reduce((sum, result) => sum + result.asked, 0)).toBeGreaterThanOrEqual(wanted);

      // Its own tenants are served again soon after it is well.
      await sick.heal();
      await expectServed(openClient, 5_000);
    },
  );

  test.for(carriers)("while a stamp is out its tenants hear 503 with Retry-After at once, by %s", async (carrier) => {
    await sick.break("refuses connections");
    const openClient = doorOf(carrier);
    const waits = new Set<string | undefined>();
    const times: number[] = [];
    for (let n = 0; n < 100; n++) {
      const client = await openClient(hostOf("of-sick"));
      // The first question of HTTP/2 pays for the handshake as well.
      if (carrier === "HTTP/2") await client.ask(5_000);
      const askedAt = performance.now();
      const { status, retryAfter, text } = await client.ask(5_000);
      times.push(performance.now() - askedAt);
      client.destroy();
      expect([status, retryAfter]).toEqual(["503", expect.stringMatching(/^[1-9]/)]);
      expect(text).not.toContain("sick");
      waits.add(retryAfter);
    }
    await sick.heal();
    expect(waits.size, "Retry-After has jitter").toBeGreaterThan(1);
    expectAtOnce(times);
  });

  test.for(carriers)(
    "a stamp that hangs holds a bounded number of requests; the excess is refused at once, by %s (I13)",
    async (carrier) => {
      const openClient = doorOf(carrier);
      await expectServed(openClient, 8_000);
      await sick.break("accepts and hangs");
      const before = sick.requests();
      const shared = carrier === "HTTP/2" ? await openClient(hostOf("of-sick")) : undefined;
      const clientOf = async () => shared ?? (await openClient(hostOf("of-sick")));
      const held = Array.from({ length: mostInFlight }, async () => (await clientOf()).ask(5_000));
      await eventually(() => expect(sick.requests() - before).toBe(mostInFlight));
      const times: number[] = [];
      for (let n = 0; n < 60; n++) {
        const client = await clientOf();
        const askedAt = performance.now();
        const { status, retryAfter } = await client.ask(5_000);
        times.push(performance.now() - askedAt);
        expect([status, retryAfter]).toEqual(["503", expect.stringMatching(/^[1-9]/)]);
      }
      const statuses = (await Promise.all(held)).map(({ status }) => status);
      expect(sick.requests() - before).toBe(mostInFlight);
      await sick.heal();
      expect(new Set(statuses)).toEqual(new Set(["504"]));
      expectAtOnce(times);
    },
  );
});
