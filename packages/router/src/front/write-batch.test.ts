import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { openChannel } from "./io.ts";
import { flushSoon } from "./write-batch.ts";

const turnEnd = () => new Promise<void>((resolve) => setImmediate(resolve));

function recorded() {
  const chunks: string[] = [];
  const socket = new Duplex({
    read() {},
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      chunks.push(chunk.toString("latin1"));
      done();
    },
  });
  const channel = openChannel(
    socket,
    { onBytes() {}, awaitsHead: () => false, onShortRead() {}, onDrain() {}, onEnd() {}, onClose() {} },
    "public",
  );
  return { channel, chunks, socket };
}

test("flushSoon() flushes at the end of the turn, stamps first; somebody who comes meanwhile has the next", async () => {
  const order: string[] = [];
  const named = (name: string) => ({ flush: () => void order.push(name) });
  flushSoon(named("client 1"), "client");
  flushSoon(
    {
      flush() {
        order.push("stamp 1");
        flushSoon(named("late"), "stamp");
      },
    },
    "stamp",
  );
  flushSoon(named("client 2"), "client");
  flushSoon(named("stamp 2"), "stamp");
  expect(order).toEqual([]);
  await turnEnd();
  expect(order).toEqual(["stamp 1", "stamp 2", "client 1", "client 2"]);
  await turnEnd();
  expect(order.slice(4)).toEqual(["late"]);
});

test("flushSoon() does not let the first of a long turn wait for the last", () => {
  let flushed = 0;
  const one = {
    flush() {
      flushed += 1;
    },
  };
  for (let n = 0; n < 100; n++) flushSoon(one, n % 2 === 0 ? "stamp" : "client");
  expect(flushed).toBe(64);
});

test("a channel writes what it was given in one turn together, however many others do (I9)", async () => {
  const all = Array.from({ length: 300 }, recorded);
  for (const [n, { channel }] of all.entries()) {
    channel.write(`head ${n};`);
    channel.write(`more ${n};`);
  }
  await turnEnd();
  for (const [n, { chunks }] of all.entries()) {
    const text = chunks.join("");
    expect(text).toBe(`head ${n};more ${n};`);
  }
});

test("a channel keeps text and bytes in their order, and loses what was not sent when it is destroyed", async () => {
  const { channel, chunks } = recorded();
  channel.write("a");
  channel.writeBytes(Buffer.from("b"));
  channel.write("c");
  channel.cork();
  channel.write("d");
  channel.uncork();
  channel.write("e");
  expect(channel.unsent()).toBeGreaterThan(0);
  channel.end();
  await turnEnd();
  expect(chunks.join("")).toBe("abcde");

  const lost = recorded();
  lost.channel.write("never");
  lost.channel.destroy();
  await turnEnd();
  expect(lost.chunks).toEqual([]);
});
