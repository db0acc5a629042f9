import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makePair } from "../../packages/router/src/test-bed/certificates.ts";
import { eventually, hostOf, type RouterUnderTest, startRouterUnderTest } from "../conformance/router-under-test.ts";
import { carriers, clientsOf } from "./carriers.ts";
import { type FaultyStamp, startFaultyStamp } from "./faulty-stamp.ts";
import { askRepeatedly, besiege } from "./load.ts";

const requests = 2_000;
const perWay = 100;
const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
const host = hostOf("acme");

let stamp: FaultyStamp;
let router: RouterUnderTest;
let certificates: string;
let hello: Buffer;
const stalling: Socket[] = [];

beforeAll(async () => {
  stamp = await startFaultyStamp("home");
  certificates = await mkdtemp(join(tmpdir(), "stampyard-stalled-"));
  await makePair(certificates, "default", ["localhost"]);
  const tls = { listen: { host: "127.0.0.1", port: 0 }, certificates };
  router = await startRouterUnderTest([{ stamp: "home", tenant: "acme", port: stamp.port }], { tls });
  hello = await recordHello();
});
afterAll(async () => {
  for (const socket of stalling) socket.destroy();
  await router?.[Symbol.asyncDispose]();
  await stamp?.stop();
  await rm(certificates, { recursive: true, force: true });
});

/** The first flight of a client that means it. */
function recordHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (bytes) => {
        socket.destroy();
        server.close();
        resolve(bytes);
      });
    });
    server.listen(0, "127.0.0.1", () => {
      const client = connectTls({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", servername: host });
      client.on("error", () => {});
    });
  });
}

async function stall(n: number, first: Buffer): Promise<void> {
  const localAddress = addresses[n % addresses.length] ?? "127.0.0.2";
  const socket = connect({ port: router.running.tlsPort ?? 0, host: "127.0.0.1", localAddress });
  stalling.push(socket);
  // Its end is heard by who reads only.
  socket.resume();
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write(first);
}

// Stamps are spoken to without TLS, so a handshake can stall on the clients' side only.
test("clients that stall their TLS handshake cost the others nothing (I13)", async () => {
  const ways = [Buffer.alloc(0), hello.subarray(0, hello.length / 2), hello];
  await Promise.all(ways.flatMap((first) => Array.from({ length: perWay }, (_, n) => stall(n, first))));
  const metrics = async () => (await fetch(`http://127.0.0.1:${router.adminPort}/stats`)).json();
  await eventually(async () => expect(await metrics()).toMatchObject({ connections: ways.length * perWay }));

  const doors = { port: router.port, tlsPort: router.running.tlsPort ?? 0 };
  let asked = 0;
  const next = () => {
    asked += 1;
    return asked <= requests;
  };
  const victims = carriers.flatMap((carrier) =>
    Array.from({ length: 4 }, () => askRepeatedly(clientsOf(carrier, doors), host, "home", next)),
  );
  // Handshakes of others go on beside those that stall: each of these makes a new one.
  let shaken = 0;
  const handshakes = besiege(
    clientsOf("HTTP/2", doors),
    host,
    () => {
      shaken += 1;
      return shaken <= 100;
    },
    { patienceMs: 10_000, keeps: false },
  );
  const results = await Promise.all(victims);
  expect(results.flatMap(({ complaints }) => complaints)).toEqual([]);
  expect(results.reduce((sum, result) => sum + result.asked, 0)).toBeGreaterThanOrEqual(requests);
  expect(await handshakes).toEqual(new Map([["200", 100]]));
  // They were there all the while, and end by the handshake's own time.
  expect(stalling.filter((socket) => !socket.destroyed)).toHaveLength(ways.length * perWay);
  await eventually(() => expect(stalling.filter((socket) => !socket.destroyed)).toEqual([]), 15_000);
});
