import { afterAll, beforeAll, expect, test } from "vitest";
import { answersOf, openRawClient } from "./raw-client.ts";
import { type RecordingStamp, startRecordingStamp } from "./recording-stamp.ts";
import { hostOf, isRouteOf, type RouterUnderTest, startRouterUnderTest } from "./router-under-test.ts";
import { valuesOf } from "./strict-reader.ts";
import { chunked } from "./verdict.ts";

/** 24 names that only the router may write, or that a stamp's framework believes. */
const names = [
  "Stampyard-Route",
  "Stampyard-Hook",
  "Stampyard-Refusal",
  "Stampyard-Tenant",
  "Stampyard-Stamp",
  "Stampyard-Epoch",
  "Stampyard-Key",
  "Stampyard-Admin",
  "Stampyard-Decide",
  "Stampyard-Trace",
  "Stampyard-X",
  "X-Tenant-Id",
  "Forwarded",
  "X-Forwarded-For",
  "X-Forwarded-Host",
  "X-Forwarded-Proto",
  "X-Forwarded-Port",
  "X-Forwarded-Server",
  "X-Forwarded-Prefix",
  "X-Forwarded-Ssl",
  "X-Forwarded-User",
  "X-Real-IP",
  "X-Request-Id",
  "X-Forwarded-Client-Cert",
] as const;

const spellings: readonly (readonly [string, (name: string) => string])[] = [
  ["as it is", (name) => name],
  ["lower", (name) => name.toLowerCase()],
  ["upper", (name) => name.toUpperCase()],
  [
    "mixed",
    (name) => [...name].map((letter, n) => (n % 2 === 0 ? letter.toLowerCase() : letter.toUpperCase())).join(""),
  ],
  ["underscores", (name) => name.replaceAll("-", "_")],
  ["one underscore, upper", (name) => name.toUpperCase().replace("-", "_")],
];

const secret = "spoofed-by-client";
const socketLines = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;

const carriers: readonly (readonly [string, (host: string, name: string) => string])[] = [
  ["request header", (host, name) => `GET /a HTTP/1.1\r\nHost: ${host}\r\n${name}: ${secret}\r\nA: b\r\n\r\n`],
  [
    "trailer",
    (host, name) =>
      `POST /a HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\nTrailer: ${name}\r\n\r\n${chunked("x").slice(0, -2)}${name}: ${secret}\r\n\r\n`,
  ],
  [
    "named by Connection",
    (host, name) => `GET /a HTTP/1.1\r\nHost: ${host}\r\nConnection: ${name}\r\n${name}: ${secret}\r\n\r\n`,
  ],
  ["upgrade request", (host, name) => `GET /a HTTP/1.1\r\nHost: ${host}\r\n${name}: ${secret}\r\n${socketLines}\r\n`],
];

let stamp: RecordingStamp;
let router: RouterUnderTest;

beforeAll(async () => {
  stamp = await startRecordingStamp(true);
  router = await startRouterUnderTest([{ stamp: "s-1", tenant: "acme", port: stamp.port }]);
});
afterAll(async () => {
  await router?.[Symbol.asyncDispose]();
  await stamp?.stop();
});

test("no client value of 24 reserved names, in 6 spellings, by 4 carriers, reaches a stamp (I6)", async () => {
  const host = hostOf("acme");
  const problems: string[] = [];
  let asked = 0;
  const attack = async (carrier: string, spelling: string, bytes: string, reserved: boolean) => {
    const client = await openRawClient(router.port);
    client.send(bytes);
    await client.until(() => answersOf(client, []).answers[0]?.complete === true, 5_000);
    const status = answersOf(client, []).answers[0]?.status ?? 0;
    client.socket.destroy();
    asked += 1;
    // Another spelling of a reserved name, or naming one in Connection, is an attack and is told so.
    const mustRefuse =
      reserved && (spelling.includes("underscore") || carrier === "named by Connection") && carrier !== "trailer";
    if (mustRefuse ? status !== 400 : ![101, 200, 400].includes(status))
      problems.push(`${carrier}, ${spelling}: ${status}`);
  };
  await Promise.all(
    carriers.map(async ([carrier, write]) => {
      for (const name of names) {
        for (const [spelling, spell] of spellings) {
          await attack(carrier, `${spelling} ${name}`, write(host, spell(name)), /^(?:Stampyard|X-Tenant)/.test(name));
        }
      }
    }),
  );
  expect(asked).toBe(24 * 6 * 4);
  expect(problems).toEqual([]);
  expect(stamp.faults).toEqual([]);
  expect(stamp.bytes().includes(secret), "a client's value is among the bytes that the stamp got").toBe(false);
  expect(stamp.requests.length).toBeGreaterThan(24 * 4);
  for (const { fields } of stamp.requests) {
    const routes = valuesOf(fields, "stampyard-route");
    expect(routes.map((route) => isRouteOf(route, { stamp: "s-1", tenant: "acme" }))).toEqual([true]);
  }
}, 30_000);
