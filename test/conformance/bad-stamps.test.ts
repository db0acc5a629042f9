import { afterEach, beforeAll, beforeEach, afterAll, describe, expect, test } from "vitest";
import { type BadResponse, badResponses, type Outcome } from "./bad-responses.ts";
import { answerOk, type BadStamp, startBadStamp } from "./bad-stamp.ts";
import { answersOf, openRawClient, type RawClient, reasonOf } from "./raw-client.ts";
import { chunked } from "./verdict.ts";
import { eventually, hostOf, type RouterUnderTest, startRouterUnderTest } from "./router-under-test.ts";

const lanes = 12;
let router: RouterUnderTest;
let stamps: BadStamp[];
let host: string;
let stamp: BadStamp;

beforeAll(async () => {
  stamps = await Promise.all(Array.from({ length: lanes }, startBadStamp));
  router = await startRouterUnderTest(stamps.map(({ port }, n) => ({ stamp: `s-${n}`, tenant: `lane-${n}`, port })));
  host = hostOf("lane-0");
  stamp = stamps[0] as BadStamp;
}, 60_000);
afterAll(async () => {
  await router?.[Symbol.asyncDispose]();
  await Promise.all(stamps.map((one) => one.stop()));
});

async function ask(to: string, target: string, method = "GET"): Promise<RawClient> {
  const client = await openRawClient(router.port);
  client.send(`${method} ${target} HTTP/1.1\r\nHost: ${to}\r\nConnection: close\r\n\r\n`);
  await client.until(() => false, 6_000);
  client.socket.destroy();
  return client;
}

/** I9, I10: what the client sees is an answer of ours, a cut, or what the table allows; never more. */
function differenceOf(response: BadResponse, client: RawClient): string | undefined {
  const read = answersOf(client, [response.method ?? "GET"]);
  if (client.ended === "open") return "no end within 6 s";
  const [answer] = read.answers;
  if (read.answers.length > 1 || read.interim.includes(101))
    return `more than one answer: ${client.received.slice(0, 300)}`;
  const cut = read.error !== undefined || answer === undefined || !answer.complete || client.ended === "reset";
  const isOutcome = (outcome: Outcome) => {
    const refused = !cut && [502, 503].includes(answer.status) && reasonOf(answer.body) !== "";
    if (outcome === "refused") return refused;
    if (outcome === "cut") return refused || isVisiblyCut(client, cut, answer);
    return !cut && answer.status === outcome.status && answer.body === outcome.body;
  };
  if (!cut && read.rest !== "") return `bytes behind the answer: ${read.rest.slice(0, 200)}`;
  if (response.allowed.some(isOutcome)) return undefined;
  return `got ${cut ? "a cut" : `${answer.status}`}: ${JSON.stringify(client.received.slice(0, 300))}`;
}

/** A client of 1.1 can tell: chunks without a last one, or fewer bytes than said. */
function isVisiblyCut(client: RawClient, cut: boolean, answer: { framing: string } | undefined): boolean {
  return cut && (client.ended === "reset" || answer === undefined || answer.framing !== "until-close");
}

describe("stamps that answer badly (I9, I10)", () => {
  test("each bad answer is refused, cut or made canonical, and the next request gets its own answer", async () => {
    const all = badResponses();
    expect(all.length).toBeGreaterThan(150);
    const problems: string[] = [];
    const shootLane = async (mine: BadStamp, lane: number) => {
      for (const [at, response] of all.entries()) {
        if (at % lanes !== lane) continue;
        mine.misdeed = (socket, request) => {
          if (request?.target !== "/bad") return answerOk(socket, request);
          if (response.bytes !== "") socket.write(response.bytes, "latin1");
          // The bytes must be out before a reset throws away what is in flight.
          if (response.then === "end") socket.end();
          if (response.then === "reset") setTimeout(() => socket.resetAndDestroy(), 10);
        };
        const to = hostOf(`lane-${lane}`);
        const problem = differenceOf(response, await ask(to, "/bad", response.method));
        if (problem !== undefined) problems.push(`${response.id} (${response.then}): ${problem}`);
        const next = answersOf(await ask(to, `/next-${at}`), ["GET"]).answers[0];
        const allowedWhileBroken = next !== undefined && [502, 503].includes(next.status) && reasonOf(next.body) !== "";
        if (next?.body !== `for /next-${at}` && !allowedWhileBroken)
          problems.push(`${response.id}: next request got ${next?.status} ${next?.body.slice(0, 100)}`);
      }
    };
    await Promise.all(stamps.map(shootLane));
    expect(problems, `${problems.length} of ${all.length}`).toEqual([]);
  }, 60_000);
});

describe("a stamp's connection after misuse (I10)", () => {
  beforeEach(() => {
    stamp.seen.length = 0;
  });
  afterEach(() => {
    stamp.misdeed = answerOk;
    stamp.early = false;
  });

  const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";
  const long = "x".repeat(40_000);
  const bodies = {
    "a length": (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    "a long length": (text: string) =>
      `HTTP/1.1 200 OK\r\nContent-Length: ${long.length + text.length}\r\n\r\n${long}${text}`,
    chunks: (text: string) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(text)}`,
    "long chunks": (text: string) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(long, text)}`,
    "no body": (text: string) => `HTTP/1.1 204 No Content\r\nX-For: ${text}\r\n\r\n`,
  };
  test.each([
    ["a length", 0],
    ["a length", 15],
    ["a long length", 0],
    ["chunks", 0],
    ["chunks", 15],
    ["long chunks", 0],
    ["no body", 0],
    ["no body", 15],
  ] as const)(
    "bytes behind an answer with %s, %s ms later, end the connection and are nobody's answer",
    async (framing, delayMs) => {
      stamp.misdeed = (socket, request) => {
        const good = bodies[framing](`for ${request?.target}`);
        if (delayMs === 0) return void socket.write(good + poison, "latin1");
        socket.write(good, "latin1");
        setTimeout(() => socket.write(poison, "latin1"), delayMs);
      };
      for (let n = 0; n < 8; n++) {
        const before = stamp.connections();
        const client = await ask(host, `/${n}`);
        expect(answersOf(client, ["GET"]).answers.length).toBe(1);
        expect(client.received).toContain(`for /${n}`);
        expect(client.received).not.toContain("POISON");
        // The poison is there before the next request begins.
        if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, 2 * delayMs));
        if (n > 0) expect(stamp.connections(), "a connection of its own").toBe(before + 1);
      }
    },
  );

  test("an unasked answer on a kept connection is thrown away with it", async () => {
    stamp.misdeed = (socket, request) => {
      answerOk(socket, request);
      setTimeout(() => socket.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 6\r\n\r\nPOISON"), 5);
    };
    for (let n = 0; n < 10; n++) {
      expect(answersOf(await ask(host, `/${n}`), ["GET"]).answers[0]?.body).toBe(`for /${n}`);
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  });

  test("an answer before the upload ended is passed on, and neither connection is used again", async () => {
    stamp.early = true;
    stamp.misdeed = (socket) => void socket.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
    const before = stamp.connections();
    const client = await openRawClient(router.port);
    client.send(`POST /upload HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 100000\r\n\r\nbegin`);
    await client.until(() => client.received.endsWith("big"), 5_000);
    const [answer] = answersOf(client, ["POST"]).answers;
    expect([answer?.status, answer?.body]).toEqual([413, "big"]);
    expect(client.received.toLowerCase()).toContain("connection: close");
    // The rest of the body looks like a request: it must never be one.
    client.send(`GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(await client.until(() => answersOf(client, ["POST", "GET"]).answers.length > 1, 1_500)).toBe(false);
    client.socket.destroy();
    stamp.early = false;
    stamp.misdeed = answerOk;
    expect(answersOf(await ask(host, "/after"), ["GET"]).answers[0]?.body).toBe("for /after");
    expect(stamp.connections()).toBeGreaterThan(before + 1);
    expect(stamp.seen.map(({ target }) => target)).toEqual(["/after"]);
  });

  test("a client that leaves in the middle of its upload leaves no half request behind for the next", async () => {
    const client = await openRawClient(router.port);
    client.send(`POST /half HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000\r\n\r\nbegin`);
    await eventually(() => expect(client.socket.bytesWritten).toBeGreaterThan(0));
    client.socket.resetAndDestroy();
    for (let n = 0; n < 10; n++) {
      expect(answersOf(await ask(host, `/${n}`), ["GET"]).answers[0]?.body).toBe(`for /${n}`);
    }
    expect(stamp.seen.map(({ method }) => method)).not.toContain("POST");
  });

  test("a client that leaves in the middle of an answer does not leave the rest of it to the next", async () => {
    stamp.misdeed = (socket, request) => {
      if (request?.target !== "/slow") return answerOk(socket, request);
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst");
      setTimeout(() => socket.writable && socket.write("x".repeat(95)), 30);
    };
    for (let n = 0; n < 5; n++) {
      const client = await openRawClient(router.port);
      client.send(`GET /slow HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await client.until(() => client.received.includes("first"), 3_000);
      client.socket.resetAndDestroy();
      expect(answersOf(await ask(host, `/after-${n}`), ["GET"]).answers[0]?.body).toBe(`for /after-${n}`);
    }
  });

  test.each([
    ["POST", "Content-Length: 2\r\n\r\nhi", 1],
    ["PUT", "Content-Length: 2\r\n\r\nhi", 1],
    ["GET", "Content-Length: 2\r\n\r\nhi", 1],
    ["POST", "\r\n", 1],
    ["GET", "\r\n", 2],
  ])(
    "a %s is sent again only where it changes nothing, after a kept connection ended under it (I7)",
    async (method, rest, most) => {
      for (let n = 0; n < 10; n++) {
        // Leaves a kept connection, so that the next request finds one that carried a request before.
        expect(answersOf(await ask(host, "/before"), ["GET"]).answers[0]?.body).toBe("for /before");
        stamp.misdeed = (socket) => void socket.destroy();
        stamp.seen.length = 0;
        const client = await openRawClient(router.port);
        client.send(`${method} /once HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${rest}`);
        await client.until(() => false, 5_000);
        client.socket.destroy();
        expect(stamp.seen.length, JSON.stringify(client.received.slice(0, 200))).toBeLessThanOrEqual(most);
        expect(client.received).toMatch(/^HTTP\/1\.1 50[23] /);
        stamp.misdeed = answerOk;
        await eventually(async () => expect(answersOf(await ask(host, "/well"), ["GET"]).answers[0]?.status).toBe(200));
      }
    },
    30_000,
  );

  test("a client of HTTP/1.0 never gets chunks, whatever the stamp sends", async () => {
    for (const framing of [
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "Content-Length: 5\r\n\r\nhello",
    ]) {
      stamp.misdeed = (socket) => void socket.write(`HTTP/1.1 200 OK\r\n${framing}`);
      const client = await openRawClient(router.port);
      client.send(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
      await client.until(() => false, 5_000);
      const [answer] = answersOf(client, ["GET"]).answers;
      expect([answer?.status, answer?.body, client.ended]).toEqual([200, "hello", "fin"]);
      expect(client.received.toLowerCase()).not.toContain("transfer-encoding");
      client.socket.destroy();
    }
  });

  test("an answer that ends with its connection arrives whole, in a form that has an end", async () => {
    stamp.misdeed = (socket) => void socket.end(`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(100_000)}`);
    const client = await ask(host, "/");
    const [answer] = answersOf(client, ["GET"]).answers;
    expect([answer?.body.length, answer?.complete]).toEqual([100_000, true]);
  });

  test.each([
    [
      "a wrong accept",
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ],
    ["no accept", "Upgrade: websocket\r\nConnection: Upgrade"],
    ["another protocol", "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
    ["no upgrade", "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
  ])("no tunnel opens after 101 with %s (I11)", async (_, lines) => {
    stamp.misdeed = (socket) => void socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n\r\nleaked`);
    const client = await openRawClient(router.port);
    client.send(
      `GET / HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
    await client.until(() => answersOf(client, ["GET"]).answers[0]?.complete === true, 5_000);
    expect(client.received).toMatch(/^HTTP\/1\.1 502 /);
    expect(client.received).not.toContain("leaked");
    client.socket.destroy();
  });

  test("a refused upgrade is passed on as what it is", async () => {
    stamp.misdeed = (socket) => void socket.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    const client = await openRawClient(router.port);
    client.send(
      `GET / HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
    await client.until(() => client.received.endsWith("no"), 5_000);
    expect(answersOf(client, ["GET"]).answers[0]?.status).toBe(403);
    client.socket.destroy();
  });
});
