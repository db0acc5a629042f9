import { expect, test } from "vitest";
import { Arriving } from "./arriving.ts";

const turnEnd = () => new Promise<void>((resolve) => setImmediate(resolve));

function recorded(name: string, from: "stamp" | "client", order: string[] = []) {
  const asked = { head: true };
  const arriving = new Arriving(
    {
      awaitsHead: () => asked.head,
      onShortRead: (read) => order.push(`${name} short ${read.toString("latin1", 0, read.length)}`),
      onBytes: (bytes) => order.push(`${name} bytes ${bytes.length}`),
      onDrain: () => order.push(`${name} drain`),
      onEnd: () => order.push(`${name} end`),
      onClose: () => order.push(`${name} close`),
    },
    from,
  );
  return { arriving, order, asked };
}

test("heads are given when all sockets of a turn are read, answers before requests", async () => {
  const order: string[] = [];
  const client = recorded("client", "client", order);
  const stamp = recorded("stamp", "stamp", order);
  const shared = Buffer.from("ask");
  client.arriving.onBytes(shared);
  // What was read may be read over at once.
  shared.fill("x");
  stamp.arriving.onBytes(Buffer.from("answer"));
  expect(order).toEqual([]);
  await turnEnd();
  expect(order).toEqual(["stamp short answer", "client short ask"]);
  await turnEnd();
  expect(order).toHaveLength(2);
});

test("whatever happens to a connection comes behind what it sent before (I9)", async () => {
  const ended = recorded("a", "stamp");
  ended.arriving.onBytes(Buffer.from("1"));
  ended.arriving.onEnd();
  ended.arriving.onClose();
  const more = recorded("b", "client");
  more.arriving.onBytes(Buffer.from("1"));
  more.arriving.onBytes(Buffer.from("2"));
  more.arriving.onBytes(Buffer.alloc(5_000));
  more.arriving.onBytes(Buffer.from("3"));
  more.asked.head = false;
  more.arriving.onBytes(Buffer.from("body"));
  await turnEnd();
  expect(ended.order).toEqual(["a short 1", "a end", "a close"]);
  expect(more.order).toEqual(["b short 1", "b short 2", "b bytes 5000", "b short 3", "b bytes 4"]);
});

test("of a connection that we ended nothing is looked at any more", async () => {
  const { arriving, order } = recorded("a", "client");
  arriving.onBytes(Buffer.from("late"));
  arriving.drop();
  arriving.onClose();
  await turnEnd();
  expect(order).toEqual(["a close"]);
});
