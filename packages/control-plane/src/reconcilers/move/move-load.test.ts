import { expect, test } from "vitest";
import { createMoveLoad } from "./move-load.ts";

const move = (id: string, from: string, to: string) => ({ id, from, to });

test("enter() lets two moves of a stamp at work, and four in all", () => {
  const load = createMoveLoad();
  expect(load.enter(move("1", "a", "b"))).toBeUndefined();
  expect(load.enter(move("2", "a", "c"))).toBeUndefined();
  expect(load.enter(move("1", "a", "b")), "who is at work is not asked again").toBeUndefined();
  expect(load.enter(move("3", "d", "a"))).toBe("other moves of stamp a: 2 are at work, the most at once");
  expect(load.enter(move("4", "d", "e"))).toBeUndefined();
  expect(load.enter(move("5", "f", "g"))).toBeUndefined();
  expect(load.enter(move("6", "h", "i"))).toBe("other moves: 4 are at work, the most at once");
  load.leave("2");
  expect(load.enter(move("3", "d", "a"))).toBeUndefined();
});

test("keep() counts what copies or switches, and forgets what is past it", () => {
  const load = createMoveLoad({ perStamp: 1 });
  load.keep({ ...move("1", "a", "b"), state: { kind: "copying" } });
  expect(load.enter(move("2", "a", "c"))).toMatch(/stamp a/);
  load.keep({ ...move("1", "a", "b"), state: { kind: "opening" } });
  expect(load.enter(move("2", "a", "c"))).toBeUndefined();
  load.keep({ ...move("2", "a", "c"), state: { kind: "checking" } });
  expect(load.enter(move("3", "a", "d")), "a check that runs has its place").toMatch(/stamp a/);
});

test("takeWaiting() gives those that were refused their turn, longest first, each once", () => {
  const load = createMoveLoad({ inAll: 1 });
  load.enter(move("1", "a", "b"));
  for (const id of ["2", "3", "4"]) load.enter(move(id, "c", "d"));
  expect(load.isWaiting("3")).toBe(true);
  expect(load.takeWaiting(2)).toEqual(["2", "3"]);
  expect(load.isWaiting("3")).toBe(false);
  load.enter(move("2", "c", "d"));
  expect(load.takeWaiting(9)).toEqual(["4", "2"]);
});
