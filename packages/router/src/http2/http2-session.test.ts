import { type ClientHttp2Session, connect as connectHttp2, constants, type OutgoingHttpHeaders } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ClientSide, Exchange } from "../front/exchange.ts";
import { startTimerWheel, type TimerWheel } from "../front/timer-wheel.ts";
import type { RequestHead } from "../http1/request-head.ts";
import {
  endHeaders,
  endStream,
  frame,
  frameType,
  headerBlock,
  preface,
  readFrames,
  type SeenFrame,
} from "../test-bed/http2-frames.ts";
import { eventually } from "../test-bed/test-bed.ts";
import { type Http2Connection, type Http2Timeouts, serveHttp2 } from "./http2-session.ts";

interface Opened {
  readonly head: RequestHead;
  readonly client: ClientSide;
  readonly events: string[];
  body: string;
}

let port: number;
let wheel: TimerWheel;
let opened: Opened[];
let refused: { reason: string; method: string; status: number }[];
let closed: { count: number };
let live: Set<Http2Connection>;
let timeouts: Http2Timeouts;
let onOpen: (one: Opened) => void;
let onBodyEnd: (one: Opened) => void;
let stop: () => Promise<void>;
const clients: { destroy(): void }[] = [];

beforeEach(async () => {
  wheel = startTimerWheel(() => performance.now());
  opened = [];
  refused = [];
  closed = { count: 0 };
  const ended = closed;
  live = new Set();
  timeouts = {};
  onOpen = ({ head, client }) => {
    if (head.body === "none") client.whole(200, "content-type: text/plain\r\n", `hello ${head.hostName}${head.path}`);
    else client.wantBody();
  };
  onBodyEnd = (one) => one.client.whole(200, "", `got ${one.body.length}`);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    const connection: Http2Connection = serveHttp2(
      socket,
      { address: "127.0.0.1", scheme: "https" },
      {
        wheel,
        context: () => ({ peerTrusted: false, guarded: [] }),
        open: openFake,
        refused: (one) => refused.push(one),
      },
      () => {
        ended.count += 1;
        live.delete(connection);
      },
      timeouts,
    );
    live.add(connection);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  stop = () =>
    new Promise((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await stop();
  wheel.stop();
});

function openFake(head: RequestHead, client: ClientSide): Exchange {
  const one: Opened = { head, client, events: [], body: "" };
  opened.push(one);
  return {
    head,
    start: () => onOpen(one),
    onBodyBytes(bytes) {
      one.body += bytes.toString("latin1");
      return true;
    },
    onBodyEnd() {
      one.events.push("end");
      onBodyEnd(one);
    },
    onBodyBroken(reason) {
      one.events.push(reason);
      client.whole(400, "", reason);
    },
    onClientDrain: () => void one.events.push("drain"),
    onClientGone: () => void one.events.push("gone"),
    onTunnelBytes: () => true,
    onTunnelEnd: () => {},
  };
}

function session(): ClientHttp2Session {
  const client = connectHttp2("http://acme.example.com", { createConnection: () => connect(port, "127.0.0.1") });
  client.on("error", () => {});
  clients.push(client);
  return client;
}

interface Got {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
  readonly code: number;
}

function ask(client: ClientHttp2Session, headers: OutgoingHttpHeaders = {}, body?: string): Promise<Got> {
  return new Promise((resolve) => {
    const all = { ":scheme": "https", ":authority": "acme.example.com", ":path": "/", ...headers };
    const stream = client.request(all, { endStream: body === undefined });
    let got = {};
    let text = "";
    stream.setEncoding("latin1");
    stream.on("response", (answer) => {
      got = answer;
    });
    stream.on("data", (chunk: string) => {
      text += chunk;
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      const status = Number((got as Record<string, unknown>)[":status"] ?? 0);
      resolve({ status, headers: got, body: text, code: stream.rstCode ?? 0 });
    });
    if (body !== undefined) stream.end(body);
  });
}

/** Sends bytes and collects the frames that come until the connection ends or `until` holds. */
function rawAsk(bytes: Buffer, until: (frames: readonly SeenFrame[]) => boolean = () => false): Promise<SeenFrame[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    clients.push(socket);
    const frames: SeenFrame[] = [];
    let rest: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => reject(new Error(`No end; frames: ${JSON.stringify(frames)}`)), 5_000);
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(frames);
    };
    socket.on("data", (chunk) => {
      const read = readFrames(Buffer.concat([rest, chunk]));
      rest = read.rest;
      frames.push(...read.frames);
      if (until(frames)) end();
    });
    socket.on("error", () => {});
    socket.on("close", end);
    socket.write(Buffer.concat([preface, frame(frameType.settings, 0, 0), bytes]));
  });
}

const fields = (path = "/"): [string, string][] => [
  [":method", "GET"],
  [":scheme", "https"],
  [":authority", "acme.example.com"],
  [":path", path],
];
const request = (stream: number, list = fields(), flags = endHeaders | endStream) =>
  frame(frameType.headers, flags, stream, headerBlock(list));

test("serveHttp2() makes an exchange of every stream, with body and answer", async () => {
  const client = session();
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(client, { ":path": `/${index}` })));
  expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(
    answers.map((_, index) => `200 hello acme.example.com/${index}`),
  );
  expect(answers[0]?.headers["content-length"]).toBe("24");
  const upload = await ask(client, { ":method": "POST" }, "x".repeat(300_000));
  expect(upload.body).toBe("got 300000");
  expect(opened.at(-1)?.head).toMatchObject({ method: "POST", body: "chunked", host: "acme.example.com" });
  expect((await ask(client, { ":method": "PUT", "content-length": "4" }, "four")).body).toBe("got 4");
  expect(opened.at(-1)?.head).toMatchObject({ body: "length", length: 4 });
});

test("serveHttp2() passes interim answers, repeated fields and answers without a body", async () => {
  onOpen = ({ client, head }) => {
    if (head.path === "/head") return client.begin(200, "x-a: 1\r\n", { kind: "none" }, 12);
    client.inform(103, "link: </a.css>; rel=preload\r\n");
    client.begin(200, "set-cookie: a=1\r\nset-cookie: b=2\r\nx-long: a, b\r\n", { kind: "open" }, -1);
    client.write(Buffer.from("part"));
    client.end();
  };
  const client = session();
  const stream = client.request({ ":scheme": "https", ":authority": "acme.example.com" });
  const early = new Promise((resolve) => stream.once("headers", resolve));
  const final = new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve));
  expect(await early).toMatchObject({ ":status": 103, link: "</a.css>; rel=preload" });
  expect(await final).toMatchObject({ "set-cookie": ["a=1", "b=2"], "x-long": "a, b" });
  stream.resume();
  const head = await ask(client, { ":method": "HEAD", ":path": "/head" });
  expect(head).toMatchObject({ status: 200, body: "", code: 0, headers: { "content-length": "12", "x-a": "1" } });
});

test("serveHttp2() resets the stream of an answer that is broken off, and no other", async () => {
  onOpen = ({ client, head }) => {
    if (head.path === "/whole") return client.whole(200, "", "whole");
    client.begin(200, "", head.path === "/length" ? { kind: "length", length: 9 } : { kind: "open" }, -1);
    client.write(Buffer.from("part"));
    setImmediate(() => client.cut());
  };
  for (const path of ["/length", "/open"]) {
    // Not one frame may say that the stream ended.
    const frames = await rawAsk(request(1, fields(path)), (seen) => seen.some(({ type }) => type === frameType.reset));
    const ofStream = frames.filter(({ stream }) => stream === 1);
    expect(
      ofStream.map(({ type, flags }) => [type, flags & endStream]),
      path,
    ).toEqual([
      [frameType.headers, 0],
      [frameType.data, 0],
      [frameType.reset, 0],
    ]);
  }
  const client = session();
  for (const path of ["/length", "/open"]) {
    expect(await ask(client, { ":path": path }), path).toMatchObject({
      status: 200,
      code: constants.NGHTTP2_INTERNAL_ERROR,
    });
  }
  expect(await ask(client, { ":path": "/whole" })).toMatchObject({ body: "whole", code: 0 });
});

test("serveHttp2() says 100 where it is waited for, and gives up a body that nobody wants", async () => {
  const client = session();
  const stream = client.request({
    ":method": "POST",
    ":scheme": "https",
    ":authority": "acme.example.com",
    expect: "100-continue",
  });
  await new Promise((resolve) => stream.once("continue", resolve));
  stream.end("body");
  stream.resume();
  await eventually(() => expect(opened[0]?.body).toBe("body"));

  onOpen = ({ client: side }) => side.whole(413, "", "no");
  const refusedUpload = client.request({ ":method": "POST", ":scheme": "https", ":authority": "acme.example.com" });
  refusedUpload.on("error", () => {});
  const status = await new Promise<unknown>((resolve) => refusedUpload.once("response", (h) => resolve(h[":status"])));
  refusedUpload.resume();
  expect(status).toBe(413);
  await new Promise((resolve) => refusedUpload.once("close", resolve));
  expect(refusedUpload.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  expect(client.closed).toBe(false);
});

test("serveHttp2() tells the exchange of a client that left, and of one that stopped", async () => {
  timeouts = { stallMs: 100 };
  // A client library would end the stream before its reset.
  const post = frame(frameType.headers, endHeaders, 1, headerBlock([[":method", "POST"], ...fields().slice(1)]));
  const left = connect(port, "127.0.0.1");
  clients.push(left);
  left.on("error", () => {});
  left.write(
    Buffer.concat([preface, frame(frameType.settings, 0, 0), post, frame(frameType.data, 0, 1, Buffer.from("half"))]),
  );
  await eventually(() => expect(opened[0]?.body).toBe("half"));
  left.write(frame(frameType.reset, 0, 1, Buffer.from([0, 0, 0, 8])));
  await eventually(() => expect(opened[0]?.events).toEqual(["gone"]));

  opened = [];
  const cut = session();
  cut
    .request({ ":method": "POST", ":scheme": "https", ":authority": "acme.example.com" })
    .on("error", () => {})
    .write("half");
  await eventually(() => expect(opened[0]?.body).toBe("half"));
  cut.destroy();
  await eventually(() => expect(opened[0]?.events).toEqual(["gone"]));

  opened = [];
  const client = session();
  const slow = client.request({ ":method": "POST", ":scheme": "https", ":authority": "acme.example.com" });
  slow.on("error", () => {});
  slow.write("half");
  await eventually(() => expect(opened[0]?.events).toEqual(["request-timeout"]));
});

test("serveHttp2() holds back an answer that the client does not take, and in the end cuts it", async () => {
  timeouts = { stallMs: 300 };
  let refusedBytes = 0;
  onOpen = ({ client }) => {
    client.begin(200, "", { kind: "open" }, -1);
    for (let index = 0; index < 100; index++) {
      if (!client.write(Buffer.alloc(16_384))) return;
      refusedBytes += 16_384;
    }
  };
  // No window update ever comes, so 64 KiB is all that may be on its way.
  const frames = await rawAsk(request(1), (seen) => seen.some(({ type }) => type === frameType.reset));
  expect(refusedBytes).toBeLessThan(200_000);
  const sent = frames
    .filter(({ type }) => type === frameType.data)
    .reduce((sum, { payload }) => sum + payload.length, 0);
  expect(sent).toBeLessThanOrEqual(65_535);
  expect(opened[0]?.events).toEqual(["gone"]);
});

test("serveHttp2() refuses confusing heads without an exchange", async () => {
  const client = session();
  expect(await ask(client, { host: "globex.example.com" })).toMatchObject({ status: 400 });
  expect(await ask(client, { ":authority": "a,b" })).toMatchObject({ status: 400 });
  expect(await ask(client, { ":method": "TRACE" })).toMatchObject({ status: 405 });
  expect(await ask(client, { ":path": "/a#b" })).toMatchObject({ status: 400 });
  expect(await ask(client, { ":path": "/a%00" })).toMatchObject({ status: 400 });
  expect(await ask(client, { stampyard_route: "forged" })).toMatchObject({ status: 400 });
  expect(refused.map(({ reason }) => reason)).toEqual([
    "bad-host",
    "bad-host",
    "bad-method",
    "bad-target",
    "bad-target",
    "bad-header",
  ]);
  expect(opened).toEqual([]);
  expect((await ask(client)).status).toBe(200);
});

test("serveHttp2() gives an exchange exactly the body that its length promised", async () => {
  const post = (length: string): [string, string][] => [
    [":method", "POST"],
    ...fields().slice(1),
    ["content-length", length],
  ];
  for (const [length, data] of [
    ["4", "fourGET /evil"],
    ["9", "four"],
  ] as const) {
    opened = [];
    const bytes = Buffer.concat([
      request(1, post(length), endHeaders),
      frame(frameType.data, endStream, 1, Buffer.from(data)),
    ]);
    const frames = await rawAsk(bytes, (seen) =>
      seen.some(({ type }) => type === frameType.reset || type === frameType.goaway),
    );
    expect(frames.some(({ type }) => type === frameType.reset || type === frameType.goaway)).toBe(true);
    expect(opened[0]?.events ?? []).not.toContain("end");
    expect(opened[0]?.body ?? "").not.toContain("evil");
  }
});

test("serveHttp2() answers gRPC calls with UNIMPLEMENTED and says what to do", async () => {
  const answer = await ask(
    session(),
    { ":method": "POST", "content-type": "application/grpc+proto", te: "trailers" },
    "call",
  );
  expect(answer).toMatchObject({
    status: 200,
    body: "",
    headers: { "grpc-status": "12", "content-type": "application/grpc" },
  });
  expect(answer.headers["grpc-message"]).toContain("/decide");
  expect(refused).toEqual([{ reason: "grpc-unsupported", method: "POST", status: 200 }]);
  expect((await ask(session(), { ":method": "POST", "content-type": "application/grpc-web" }, "call")).body).toBe(
    "got 4",
  );
});

test("serveHttp2() ends connections that are idle, and drains those that are not", async () => {
  timeouts = { firstMs: 60, idleMs: 60 };
  await rawAsk(Buffer.alloc(0));
  await eventually(() => expect(closed.count).toBe(1));
  const client = session();
  expect((await ask(client)).status).toBe(200);
  await new Promise((resolve) => client.once("close", resolve));
  await eventually(() => expect(closed.count).toBe(2));

  timeouts = {};
  onOpen = () => {};
  const busy = session();
  const pending = ask(busy);
  await eventually(() => expect(opened).toHaveLength(2));
  for (const connection of live) connection.drain();
  await new Promise((resolve) => busy.once("goaway", resolve));
  opened[1]?.client.whole(200, "", "last");
  expect((await pending).body).toBe("last");
  await eventually(() => expect(closed.count).toBe(3));
});

test("serveHttp2() ends floods, and a client beside them has no errors (I13)", async () => {
  onOpen = ({ client, head }) => {
    if (head.path === "/victim") client.whole(200, "", "fine");
  };
  const victim = session();
  let stopped = false;
  let asked = 0;
  const watching = (async () => {
    while (!stopped || asked < 100) {
      expect(await ask(victim, { ":path": "/victim" })).toMatchObject({ status: 200, body: "fine" });
      asked += 1;
    }
  })();

  const reset = (stream: number) => frame(frameType.reset, 0, stream, Buffer.from([0, 0, 0, 8]));
  const many = (count: number, make: (index: number) => Buffer) =>
    Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
  const zeroWindow = (stream: number) => frame(frameType.window, 0, stream, Buffer.alloc(4));
  const floods: Record<string, Buffer> = {
    "rapid reset": many(5_000, (index) => Buffer.concat([request(2 * index + 1), reset(2 * index + 1)])),
    "reset by the server": many(2_000, (index) => Buffer.concat([request(2 * index + 1), zeroWindow(2 * index + 1)])),
    settings: many(20_000, () => frame(frameType.settings, 0, 0)),
    ping: many(20_000, () => frame(frameType.ping, 0, 0, Buffer.alloc(8))),
    "empty data": many(200_000, () => frame(frameType.data, 0, 1)),
    continuation: Buffer.concat([
      frame(frameType.headers, 0, 1, headerBlock(fields())),
      many(20_000, () => frame(frameType.continuation, 0, 1)),
    ]),
    "header bomb": frame(
      frameType.headers,
      endHeaders | endStream,
      1,
      headerBlock([...fields(), ...Array.from({ length: 2_000 }, (_, index): [string, string] => [`x-${index}`, "y"])]),
    ),
    "not a preface": Buffer.from("GET / HTTP/1.1\r\nHost: acme.example.com\r\n\r\n"),
  };
  for (const [name, bytes] of Object.entries(floods)) {
    const sent = name === "empty data" ? Buffer.concat([request(1, fields("/x"), endHeaders), bytes]) : bytes;
    const frames = await rawAsk(sent, (seen) => name === "header bomb" && seen.some(({ stream }) => stream === 1));
    expect(frames.length, name).toBeLessThan(30_000);
  }
  stopped = true;
  await watching;
  expect(victim.closed).toBe(false);
  // What was let in of the floods is bounded too: 200 streams at once and 20 a second.
  expect(opened.length - asked).toBeLessThan(1_000);
});

test("serveHttp2() lets no connection have more than a hundred streams at once", async () => {
  onOpen = () => {};
  const bytes = Buffer.concat(Array.from({ length: 150 }, (_, index) => request(2 * index + 1)));
  await rawAsk(
    bytes,
    (seen) =>
      seen.filter(({ type }) => type === frameType.reset).length >= 50 ||
      seen.some(({ type }) => type === frameType.goaway),
  );
  expect(opened.length).toBeLessThanOrEqual(100);
});
