import { expect, test } from "vitest";
import { atTurnEnd, oncePerTurn } from "./turn.ts";

const turnEnd = () => new Promise<void>((resolve) => setImmediate(resolve));

test("atTurnEnd() looks at all that was read before it writes; who asks too late has the next turn", async () => {
  const order: string[] = [];
  const note = (name: string) => () => void order.push(name);
  atTurnEnd("write", () => {
    order.push("write 1");
    atTurnEnd("write", note("write 3"));
    atTurnEnd("read", note("read 3"));
  });
  atTurnEnd("read", () => {
    order.push("read 1");
    atTurnEnd("write", note("write 2"));
  });
  atTurnEnd("read", note("read 2"));
  await Promise.resolve();
  expect(order).toEqual([]);
  await turnEnd();
  expect(order).toEqual(["read 1", "read 2", "write 1", "write 2"]);
  await turnEnd();
  expect(order.slice(4)).toEqual(["read 3", "write 3"]);
});

test("oncePerTurn() reads its clock once in a turn, and again in the next", async () => {
  let reads = 0;
  const clock = oncePerTurn(() => ++reads * 10);
  expect([clock(), clock(), clock()]).toEqual([10, 10, 10]);
  await turnEnd();
  expect([clock(), clock()]).toEqual([20, 20]);
  await turnEnd();
  await turnEnd();
  expect(clock()).toBe(30);
});
