import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { clientsOf } from "../bulkhead/carriers.ts";
import { askRepeatedly } from "../bulkhead/load.ts";
import { type FaultyStamp, startFaultyStamp } from "../bulkhead/faulty-stamp.ts";
import { eventually, hostOf, type RouterUnderTest, startRouterUnderTest } from "./router-under-test.ts";

const host = hostOf("acme");
const perClient = 60;
let stamp: FaultyStamp;
let router: RouterUnderTest;
const attackers: Attacker[] = [];

interface Attacker {
  readonly socket: Socket;
  received: string;
  closed: boolean;
  timer: NodeJS.Timeout | undefined;
}

beforeAll(async () => {
  stamp = await startFaultyStamp("home");
});
afterAll(async () => {
  await stamp?.stop();
});
beforeEach(async () => {
  router = await startRouterUnderTest(
    [{ stamp: "home", tenant: "acme", port: stamp.port }],
    { maxConnectionsPerClient: perClient },
    { timeouts: { connectMs: 500, idleMs: 2_000, headMs: 600, bodyIdleMs: 600, keepAliveMs: 800 } },
  );
});
afterEach(async () => {
  for (const { socket, timer } of attackers.splice(0)) {
    clearInterval(timer);
    socket.destroy();
  }
  await router[Symbol.asyncDispose]();
});

/** A connection from one of the loopback addresses, so that attackers and the victim are not one client. */
function attack(from: string, first: string, then?: { bytes: string; everyMs: number }): Attacker {
  const socket = connect({ port: router.port, host: "127.0.0.1", localAddress: from, noDelay: true });
  const attacker: Attacker = { socket, received: "", closed: false, timer: undefined };
  attackers.push(attacker);
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    attacker.received = (attacker.received + text).slice(-4_096);
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    attacker.closed = true;
    clearInterval(attacker.timer);
  });
  socket.write(first, "latin1");
  if (then !== undefined)
    attacker.timer = setInterval(() => socket.writable && socket.write(then.bytes, "latin1"), then.everyMs);
  return attacker;
}

const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];

function attackFromAll(count: number, first: string, then?: { bytes: string; everyMs: number }): Attacker[] {
  return Array.from({ length: count }, (_, n) => attack(addresses[n % addresses.length] ?? "127.0.0.2", first, then));
}

/** The victim asks all the while; it must not notice. */
async function victimDuring(work: () => Promise<void>): Promise<void> {
  let over = false;
  const openClient = clientsOf("HTTP/1.1", { port: router.port, tlsPort: 0 });
  const victims = Array.from({ length: 4 }, () => askRepeatedly(openClient, host, "home", () => !over));
  try {
    await work();
  } finally {
    over = true;
  }
  const results = await Promise.all(victims);
  expect(results.flatMap(({ complaints }) => complaints)).toEqual([]);
  expect(results.reduce((sum, { asked }) => sum + asked, 0)).toBeGreaterThan(50);
}

const allClosed = (list: readonly Attacker[]) =>
  eventually(() => expect(list.filter(({ closed }) => !closed).length, "connections still open").toBe(0), 8_000);

const mebibyte = 1_048_576;

/** The value of a counter when it did not change during 30 looks in a row. */
async function atRest(count: () => number): Promise<number> {
  let last = -1;
  let same = 0;
  await eventually(() => {
    same = count() === last ? same + 1 : 0;
    last = count();
    if (same < 30 || last === 0) throw new Error(`still moving at ${last}`);
  }, 10_000);
  return last;
}

describe("slow and greedy clients cost the others nothing (I13)", () => {
  test("heads that never end are ended, though a byte comes now and then", async () => {
    await victimDuring(async () => {
      const slow = attackFromAll(160, `GET / HTTP/1.1\r\nHost: ${host}\r\n`, { bytes: "X: y\r\n", everyMs: 150 });
      await allClosed(slow);
      expect(slow.filter(({ received }) => /^HTTP\/1\.1 408 /.test(received)).length).toBeGreaterThan(40);
    });
    expect(stamp.requests()).toBeGreaterThan(0);
  });

  test("connections that say nothing are ended", async () => {
    await victimDuring(async () => await allClosed(attackFromAll(160, "")));
  });

  test("bodies that stop are ended, and the stamp's connection with them", async () => {
    await victimDuring(async () => {
      const head = `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000000\r\n\r\nbegin`;
      await allClosed(attackFromAll(100, head));
    });
  });

  test("answers that nobody reads stop at the stamp, not in the router's memory", async () => {
    await stamp.break("sends bodies at full speed");
    const before = process.memoryUsage().rss;
    const readers = attackFromAll(40, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    for (const { socket } of readers) socket.pause();
    const poured = await atRest(stamp.poured);
    expect(poured / readers.length, "bytes on their way to one client").toBeLessThan(16 * mebibyte);
    expect((process.memoryUsage().rss - before) / mebibyte).toBeLessThan(250);
    for (const { socket } of readers) socket.destroy();
    await stamp.heal();
  });

  test("header bombs are refused, each one, and cost no more than themselves", async () => {
    await victimDuring(async () => {
      const bombs = [
        `GET / HTTP/1.1\r\nHost: ${host}\r\n${"a:\r\n".repeat(20_000)}\r\n`,
        `GET / HTTP/1.1\r\nHost: ${host}\r\nX: ${"y".repeat(200_000)}\r\n\r\n`,
        `GET /${"a".repeat(200_000)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: ${"x,".repeat(50_000)}\r\n\r\n`,
        `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n${`1;${"x".repeat(3_000)}\r\ny\r\n`.repeat(40)}`,
      ];
      const sent = bombs.flatMap((bomb) => attackFromAll(40, bomb));
      await allClosed(sent);
      const refused = sent.filter(({ received }) => /^HTTP\/1\.1 4(?:00|13|14|31) /.test(received));
      // A reset may overtake an answer that a flooding client does not read in time; a success it never is.
      expect(sent.filter(({ received }) => /^HTTP\/1\.1 2/.test(received))).toEqual([]);
      expect(refused.length).toBeGreaterThan(sent.length / 2);
    });
  });

  test("one client's flood of connections ends at its own limit", async () => {
    // One that waits long for a first byte, so that only the limit can end a connection in time.
    await router[Symbol.asyncDispose]();
    const home = [{ stamp: "home", tenant: "acme", port: stamp.port }];
    router = await startRouterUnderTest(home, { maxConnectionsPerClient: perClient });
    await victimDuring(async () => {
      const flood = Array.from({ length: 400 }, () => attack("127.0.0.9", ""));
      await eventually(() => expect(flood.filter(({ closed }) => !closed).length).toBe(perClient), 6_000);
    });
  });

  test("thousands of short connections leave nothing behind", async () => {
    await victimDuring(async () => {
      for (let round = 0; round < 10; round++) {
        const wave = attackFromAll(150, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
        await allClosed(wave);
        expect(wave.filter(({ received }) => received.startsWith("HTTP/1.1 200 ")).length).toBe(150);
        attackers.length = 0;
      }
    });
  });
});
