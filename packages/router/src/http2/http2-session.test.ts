import { constants } from "node:http2";
import { connect } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ask, fields, type Http2Bed, makeHttp2Bed, request } from "../test-bed/http2-bed.ts";
import { endHeaders, endStream, frame, frameType, headerBlock, preface } from "../test-bed/http2-frames.ts";
import { eventually } from "../test-bed/test-bed.ts";

let bed: Http2Bed;
beforeEach(async () => {
  bed = await makeHttp2Bed();
});
afterEach(() => bed.stop());

test("serveHttp2() makes an exchange of every stream, with body and answer", async () => {
  const client = bed.session();
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(client, { ":path": `/${index}` })));
  expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(
    answers.map((_, index) => `200 hello acme.example.com/${index}`),
  );
  expect(answers[0]?.headers["content-length"]).toBe("24");
  const upload = await ask(client, { ":method": "POST" }, "x".repeat(300_000));
  expect(upload.body).toBe("got 300000");
  expect(bed.opened.at(-1)?.head).toMatchObject({ method: "POST", body: "chunked", host: "acme.example.com" });
  expect((await ask(client, { ":method": "PUT", "content-length": "4" }, "four")).body).toBe("got 4");
  expect(bed.opened.at(-1)?.head).toMatchObject({ body: "length", length: 4 });
});

test("serveHttp2() passes interim answers, repeated fields and answers without a body", async () => {
  bed.onOpen = ({ client, head }) => {
    if (head.path === "/head") return client.begin(200, "x-a: 1\r\n", { kind: "none" }, 12);
    client.inform(103, "link: </a.css>; rel=preload\r\n");
    client.begin(200, "set-cookie: a=1\r\nset-cookie: b=2\r\nx-long: a, b\r\n", { kind: "open" }, -1);
    client.write(Buffer.from("part"));
    client.end();
  };
  const client = bed.session();
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
  bed.onOpen = ({ client, head }) => {
    if (head.path === "/whole") return client.whole(200, "", "whole");
    client.begin(200, "", head.path === "/length" ? { kind: "length", length: 9 } : { kind: "open" }, -1);
    client.write(Buffer.from("part"));
    setImmediate(() => client.cut());
  };
  for (const path of ["/length", "/open"]) {
    // Not one frame may say that the stream ended.
    const frames = await bed.rawAsk(request(1, fields(path)), (seen) =>
      seen.some(({ type }) => type === frameType.reset),
    );
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
  const client = bed.session();
  for (const path of ["/length", "/open"]) {
    expect(await ask(client, { ":path": path }), path).toMatchObject({
      status: 200,
      code: constants.NGHTTP2_INTERNAL_ERROR,
    });
  }
  expect(await ask(client, { ":path": "/whole" })).toMatchObject({ body: "whole", code: 0 });
});

test("serveHttp2() says 100 where it is waited for, and gives up a body that nobody wants", async () => {
  const client = bed.session();
  const stream = client.request({
    ":method": "POST",
    ":scheme": "https",
    ":authority": "acme.example.com",
    expect: "100-continue",
  });
  await new Promise((resolve) => stream.once("continue", resolve));
  stream.end("body");
  stream.resume();
  await eventually(() => expect(bed.opened[0]?.body).toBe("body"));

  bed.onOpen = ({ client: side }) => side.whole(413, "", "no");
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
  bed.timeouts = { stallMs: 100 };
  // A client library would end the stream before its reset.
  const post = frame(frameType.headers, endHeaders, 1, headerBlock([[":method", "POST"], ...fields().slice(1)]));
  const left = connect(bed.port, "127.0.0.1");
  bed.own(left);
  left.on("error", () => {});
  left.write(
    Buffer.concat([preface, frame(frameType.settings, 0, 0), post, frame(frameType.data, 0, 1, Buffer.from("half"))]),
  );
  await eventually(() => expect(bed.opened[0]?.body).toBe("half"));
  left.write(frame(frameType.reset, 0, 1, Buffer.from([0, 0, 0, 8])));
  await eventually(() => expect(bed.opened[0]?.events).toEqual(["gone"]));

  bed.opened = [];
  const cut = bed.session();
  cut
    .request({ ":method": "POST", ":scheme": "https", ":authority": "acme.example.com" })
    .on("error", () => {})
    .write("half");
  await eventually(() => expect(bed.opened[0]?.body).toBe("half"));
  cut.destroy();
  await eventually(() => expect(bed.opened[0]?.events).toEqual(["gone"]));

  bed.opened = [];
  const client = bed.session();
  const slow = client.request({ ":method": "POST", ":scheme": "https", ":authority": "acme.example.com" });
  slow.on("error", () => {});
  slow.write("half");
  await eventually(() => expect(bed.opened[0]?.events).toEqual(["request-timeout"]));
});

test("serveHttp2() holds back an answer that the client does not take, and in the end cuts it", async () => {
  bed.timeouts = { stallMs: 300 };
  let refusedBytes = 0;
  bed.onOpen = ({ client }) => {
    client.begin(200, "", { kind: "open" }, -1);
    for (let index = 0; index < 100; index++) {
      if (!client.write(Buffer.alloc(16_384))) return;
      refusedBytes += 16_384;
    }
  };
  // No window update ever comes, so 64 KiB is all that may be on its way.
  const frames = await bed.rawAsk(request(1), (seen) => seen.some(({ type }) => type === frameType.reset));
  expect(refusedBytes).toBeLessThan(200_000);
  const sent = frames
    .filter(({ type }) => type === frameType.data)
    .reduce((sum, { payload }) => sum + payload.length, 0);
  expect(sent).toBeLessThanOrEqual(65_535);
  expect(bed.opened[0]?.events).toEqual(["gone"]);
});

test("serveHttp2() refuses confusing heads without an exchange", async () => {
  const client = bed.session();
  expect(await ask(client, { host: "globex.example.com" })).toMatchObject({ status: 400 });
  expect(await ask(client, { ":authority": "a,b" })).toMatchObject({ status: 400 });
  expect(await ask(client, { ":method": "TRACE" })).toMatchObject({ status: 405 });
  expect(await ask(client, { ":path": "/a#b" })).toMatchObject({ status: 400 });
  expect(await ask(client, { ":path": "/a%00" })).toMatchObject({ status: 400 });
  expect(await ask(client, { stampyard_route: "forged" })).toMatchObject({ status: 400 });
  expect(bed.refused.map(({ reason }) => reason)).toEqual([
    "bad-host",
    "bad-host",
    "bad-method",
    "bad-target",
    "bad-target",
    "bad-header",
  ]);
  expect(bed.opened).toEqual([]);
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
    bed.opened = [];
    const bytes = Buffer.concat([
      request(1, post(length), endHeaders),
      frame(frameType.data, endStream, 1, Buffer.from(data)),
    ]);
    const frames = await bed.rawAsk(bytes, (seen) =>
      seen.some(({ type }) => type === frameType.reset || type === frameType.goaway),
    );
    expect(frames.some(({ type }) => type === frameType.reset || type === frameType.goaway)).toBe(true);
    expect(bed.opened[0]?.events ?? []).not.toContain("end");
    expect(bed.opened[0]?.body ?? "").not.toContain("evil");
  }
});

test("serveHttp2() answers gRPC calls with UNIMPLEMENTED and says what to do", async () => {
  const answer = await ask(
    bed.session(),
    { ":method": "POST", "content-type": "application/grpc+proto", te: "trailers" },
    "call",
  );
  expect(answer).toMatchObject({
    status: 200,
    body: "",
    headers: { "grpc-status": "12", "content-type": "application/grpc" },
  });
  expect(answer.headers["grpc-message"]).toContain("/decide");
  expect(bed.refused).toEqual([{ reason: "grpc-unsupported", method: "POST", status: 200 }]);
  expect((await ask(bed.session(), { ":method": "POST", "content-type": "application/grpc-web" }, "call")).body).toBe(
    "got 4",
  );
});

test("serveHttp2() ends connections that are idle, and drains those that are not", async () => {
  bed.timeouts = { firstMs: 60, idleMs: 60 };
  await bed.rawAsk(Buffer.alloc(0));
  await eventually(() => expect(bed.closed.count).toBe(1));
  const client = bed.session();
  expect((await ask(client)).status).toBe(200);
  await new Promise((resolve) => client.once("close", resolve));
  await eventually(() => expect(bed.closed.count).toBe(2));

  bed.timeouts = {};
  bed.onOpen = () => {};
  const busy = bed.session();
  const pending = ask(busy);
  await eventually(() => expect(bed.opened).toHaveLength(2));
  for (const connection of bed.live) connection.drain();
  await new Promise((resolve) => busy.once("goaway", resolve));
  bed.opened[1]?.client.whole(200, "", "last");
  expect((await pending).body).toBe("last");
  await eventually(() => expect(bed.closed.count).toBe(3));
});

test("serveHttp2() serves a client that asks fast and waits for each answer on one connection, however long", async () => {
  const client = bed.session();
  // Many times what a client may do in vain: what was asked and answered is not.
  for (let number = 0; number < 1_000; number++) {
    const { status, body } = await ask(client, { ":path": `/${number}` });
    expect(`${status} ${body}`).toBe(`200 hello acme.example.com/${number}`);
  }
  expect(client.closed).toBe(false);
});

test("a connection keeps nothing of requests that are over", async () => {
  const client = bed.session();
  setFlagsFromString("--expose-gc");
  const heapMiB = () => {
    (runInNewContext("gc") as () => void)();
    return process.memoryUsage().heapUsed / 2 ** 20;
  };
  const askOften = async () => {
    for (let number = 0; number < 2_000; number++) {
      await ask(client, { ":path": "/" });
      bed.opened.length = 0;
    }
  };
  await askOften();
  const before = heapMiB();
  await askOften();
  // Streams and all that hangs on them are 3 KiB each.
  expect(heapMiB() - before).toBeLessThan(3);
});
