import { randomInt } from "node:crypto";
import { createSeededRandom } from "@stampyard/testing";
import { expect, test } from "vitest";
import { measureLong, report } from "../long-report.ts";
import { badResponses } from "./bad-responses.ts";
import { answerOk, startBadStamp } from "./bad-stamp.ts";
import { mutate } from "./mutation.ts";
import { answersOf, openRawClient } from "./raw-client.ts";
import { hostOf, startRouterUnderTest } from "./router-under-test.ts";

const good = [
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno",
  "HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
  "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
];

/** The long run is `npm run fuzz:router`, as that of the requests. */
const minutes = Number(process.env["STAMPYARD_FUZZ_MINUTES"] ?? "0");
const forMs = minutes > 0 ? minutes * 60_000 : 4_000;
const maxShots = minutes > 0 ? Number.POSITIVE_INFINITY : 2_500;

/** Whatever a stamp says, the client reads one valid answer or a visible cut, and the next request gets its own. */
test("mutated answers reach the client as one answer or none, and never another request (I9)", async () => {
  const seed = Number(process.env["STAMPYARD_SEED"] ?? randomInt(1_000_000));
  const lanes = 12;
  const stamps = await Promise.all(Array.from({ length: lanes }, startBadStamp));
  const timeouts = { connectMs: 500, idleMs: 300 };
  const targets = stamps.map(({ port }, n) => ({ stamp: `s-${n}`, tenant: `lane-${n}`, port }));
  const router = await startRouterUnderTest(targets, {}, { timeouts });
  const problems: string[] = [];
  const measured = measureLong();
  const deadline = performance.now() + forMs;
  let shots = 0;
  const material = [...good, ...good, ...badResponses().map(({ bytes }) => bytes)].filter(
    (bytes) => bytes.length < 2_000,
  );

  const ask = async (host: string, target: string) => {
    const client = await openRawClient(router.port);
    client.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    // It ends at once; a machine that is starved for seconds is no problem of the router.
    await client.until(() => false, 20_000);
    client.socket.destroy();
    return client;
  };
  try {
    await Promise.all(
      stamps.map(async (stamp, lane) => {
        const random = createSeededRandom(seed * 100 + lane);
        const host = hostOf(`lane-${lane}`);
        while (performance.now() < deadline && shots < maxShots && problems.length < 10) {
          shots += 1;
          const bytes = mutate(random.pick(material), random.pick(good), random);
          const ends = random.chance(0.7);
          stamp.seen.length = 0;
          stamp.misdeed = (socket, request) => {
            if (request?.target !== "/bad") return answerOk(socket, request);
            socket.write(bytes, "latin1");
            if (ends) socket.end();
          };
          const client = await ask(host, "/bad");
          const read = answersOf(client, ["GET"]);
          const told = `for ${JSON.stringify(bytes.slice(0, 800))}: ${JSON.stringify(client.received.slice(0, 400))}`;
          if (client.ended === "open") problems.push(`no end ${told}`);
          // A chunked body that is cut may not be read further; its head was valid.
          if (read.answers.length > 1) problems.push(`more than one answer ${told}`);
          if (read.error !== undefined) problems.push(`${read.error} ${told}`);
          if (read.answers[0]?.complete === true && read.rest !== "") problems.push(`bytes behind the answer ${told}`);
          const next = answersOf(await ask(host, `/next-${shots}`), ["GET"]).answers[0];
          const refused = next !== undefined && next.status >= 502 && next.status <= 504;
          if (!refused && !/^for \/next-\d+$/.test(next?.body ?? ""))
            problems.push(`the next request got ${JSON.stringify(next?.body)} ${told}`);
        }
      }),
    );
  } finally {
    await router[Symbol.asyncDispose]();
    await Promise.all(stamps.map((stamp) => stamp.stop()));
  }
  report("answers", { shots, problems, seed, ...measured() });
  console.log(`fuzz: ${shots} answers, STAMPYARD_SEED=${seed}`);
  expect(problems, `STAMPYARD_SEED=${seed}`).toEqual([]);
  expect(shots).toBeGreaterThan(50);
}, 2_147_483_647);
