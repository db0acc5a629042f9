import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ask, eventually, makeTestBed, type TestBed, tenantPut } from "./test-bed/test-bed.ts";

let bed: TestBed;
let port: number;
const opened: Socket[] = [];

beforeEach(async () => {
  bed = await makeTestBed();
  const router = await bed.start();
  port = router.listenPort;
});
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await bed[Symbol.asyncDispose]();
});

const handshake =
  "GET / HTTP/1.1\r\nHost: acme.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const switched =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const restart = "\x88\x02\x03\xf4";

/** Everything that came on a connection, and whether it ended. */
function talk(request: string): { socket: Socket; text: () => string; ended: () => boolean } {
  const socket = connect(port, "127.0.0.1");
  opened.push(socket);
  let text = "";
  let ended = false;
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    text += chunk;
  });
  socket.on("end", () => {
    ended = true;
  });
  socket.on("error", () => {});
  socket.write(request, "latin1");
  return { socket, text: () => text, ended: () => ended };
}

/** Opens a WebSocket on the first stamp, which begins with these bytes. */
async function webSocket(first: string) {
  const stampSide = new Promise<Socket>((resolve) => {
    bed.stamps[0].server.once("upgrade", (_request, socket: Socket) => {
      socket.on("error", () => {});
      socket.on("end", () => socket.end());
      socket.resume();
      socket.write(switched + first, "latin1");
      resolve(socket);
    });
  });
  let client = talk(handshake);
  await eventually(() => {
    if (client.text().includes(" 503 ") || client.text().includes(" 404 ")) client = talk(handshake);
    expect(client.text()).toContain("101");
  });
  await eventually(() => expect(client.text().endsWith(first)).toBe(true));
  return { ...client, stampSide: await stampSide };
}

const move = () => bed.controlPlane.change(tenantPut("acme", "eu-2", 4));

test("a WebSocket between two frames is closed with 1012 when its tenant moves, others stay", async () => {
  const client = await webSocket("\x81\x02hi");
  const other = new Promise<void>((resolve) => client.stampSide.once("close", () => resolve()));
  bed.controlPlane.change(tenantPut("umbrella", "eu-2", 2));
  client.stampSide.write("\x81\x03hey", "latin1");
  await eventually(() => expect(client.text()).toContain("hey"));
  expect(client.ended()).toBe(false);
  move();
  await eventually(() => expect(client.ended()).toBe(true));
  expect(client.text().endsWith(`\x81\x03hey${restart}`)).toBe(true);
  client.socket.end();
  await other;
});

test("a WebSocket within a frame gets the rest of it first", async () => {
  const client = await webSocket("\x81\x05he");
  move();
  // Once others go to the new home, the tunnel knows that it has to end.
  await eventually(async () => expect((await ask(port)).body).toContain('"stamp":"eu-2"'));
  expect(client.ended()).toBe(false);
  client.stampSide.write("llo\x81\x01x", "latin1");
  await eventually(() => expect(client.ended()).toBe(true));
  expect(client.text().endsWith(`\x81\x05hello${restart}`)).toBe(true);
});

test("a stream of events ends whole when its tenant moves, so that its reader comes again at the new home", async () => {
  for (const stamp of bed.stamps) {
    stamp.handler = (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`data: ${stamp.name}\n\n`);
    };
  }
  const request = "GET /events HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
  let reader = talk(request);
  await eventually(() => {
    if (/ (?:503|404) /.test(reader.text())) reader = talk(request);
    expect(reader.text()).toContain("data: eu-1");
  });
  move();
  await eventually(() => expect(reader.text().endsWith("\r\n0\r\n\r\n")).toBe(true));
  reader.socket.write(request);
  await eventually(() => expect(reader.text()).toContain("data: eu-2"));
});
