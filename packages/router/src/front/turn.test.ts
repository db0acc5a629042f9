import { expect, test } from "vitest";
import { atTurnEnd, oncePerTurn } from "./turn.ts";

const turnEnd = () => new Promise<void>((resolve) => setImmediate(resolve));

test("atTurnEnd() acts once, in order, behind what arrives in this turn; who asks meanwhile has the next", async () => {
  const order: string[] = [];
  atTurnEnd(() => {
    order.push("first");
    atTurnEnd(() => order.push("next turn"));
  });
  atTurnEnd(() => order.push("second"));
  await Promise.resolve();
  expect(order).toEqual([]);
  await turnEnd();
  expect(order).toEqual(["first", "second"]);
  await turnEnd();
  await turnEnd();
  expect(order).toEqual(["first", "second", "next turn"]);
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
