import { afterEach, beforeEach, expect, test } from "vitest";
import { ask, fields, type Http2Bed, makeHttp2Bed, request } from "../test-bed/http2-bed.ts";
import { endHeaders, endStream, frame, frameType, headerBlock } from "../test-bed/http2-frames.ts";

let bed: Http2Bed;
beforeEach(async () => {
  bed = await makeHttp2Bed();
});
afterEach(() => bed.stop());

test("serveHttp2() ends floods, and a client beside them has no errors (I13)", async () => {
  bed.onOpen = ({ client, head }) => {
    if (head.path === "/victim" || head.path === "/at-once") client.whole(200, "", "fine");
  };
  const victim = bed.session();
  let stopped = false;
  let asked = 0;
  const watching = (async () => {
    while (!stopped || asked < 100) {
      expect(await ask(victim, { ":path": "/victim" })).toMatchObject({ status: 200, body: "fine" });
      asked += 1;
    }
  })();

  const reset = (stream: number, code = 8) => frame(frameType.reset, 0, stream, Buffer.from([0, 0, 0, code]));
  const many = (count: number, make: (index: number) => Buffer) =>
    Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
  const zeroWindow = (stream: number) => frame(frameType.window, 0, stream, Buffer.alloc(4));
  const floods: Record<string, Buffer> = {
    "rapid reset": many(5_000, (index) => Buffer.concat([request(2 * index + 1), reset(2 * index + 1)])),
    "reset without a reason": many(5_000, (index) => Buffer.concat([request(2 * index + 1), reset(2 * index + 1, 0)])),
    "reset without a reason, of answers": many(5_000, (index) =>
      Buffer.concat([request(2 * index + 1, fields("/at-once")), reset(2 * index + 1, 0)]),
    ),
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
    const before = bed.opened.length - asked;
    const frames = await bed.rawAsk(sent, (seen) => name === "header bomb" && seen.some(({ stream }) => stream === 1));
    expect(frames.length, name).toBeLessThan(30_000);
    // What is let in of a flood is bounded too: 200 streams at once and 20 a second, and what one read brought with them.
    expect(bed.opened.length - asked - before, name).toBeLessThan(1_000);
  }
  stopped = true;
  await watching;
  expect(victim.closed).toBe(false);
});

test("serveHttp2() lets no connection have more than a hundred streams at once", async () => {
  bed.onOpen = () => {};
  const bytes = Buffer.concat(Array.from({ length: 150 }, (_, index) => request(2 * index + 1)));
  await bed.rawAsk(
    bytes,
    (seen) =>
      seen.filter(({ type }) => type === frameType.reset).length >= 50 ||
      seen.some(({ type }) => type === frameType.goaway),
  );
  expect(bed.opened.length).toBeLessThanOrEqual(100);
});
