import { createManualClock } from "@stampyard/testing";
import { expect, test } from "vitest";
import { createEventBus } from "./events.ts";

const news = (version: number) => ({ kind: "directory" as const, version });

test("createEventBus() tells every reader from its subscription on, in order", async () => {
  const bus = createEventBus(createManualClock());
  bus.publish(news(1));
  const ending = new AbortController();
  const readers = [0, 1].map(() => bus.subscribe(ending.signal)[Symbol.asyncIterator]());
  const firsts = readers.map((reader) => reader.next());
  bus.publish(news(2));
  bus.publish(news(3));
  for (const [index, first] of firsts.entries()) {
    expect((await first).value).toMatchObject({ version: 2 });
    expect((await readers[index]?.next())?.value).toMatchObject({ version: 3 });
  }
  ending.abort();
  for (const reader of readers) expect((await reader.next()).done).toBe(true);
  expect(bus.readers).toBe(0);
});

test("createEventBus() keeps no more than a bounded number for a reader that sleeps (I13)", async () => {
  const bus = createEventBus(createManualClock());
  const ending = new AbortController();
  const reader = bus.subscribe(ending.signal)[Symbol.asyncIterator]();
  const first = reader.next();
  for (let version = 1; version <= 5_000; version++) bus.publish(news(version));
  expect((await first).value).toMatchObject({ version: 4_001 });
  ending.abort();
  await reader.return?.();
});

test("createEventBus() gives a sign of life when nothing happens", async () => {
  const clock = createManualClock();
  const bus = createEventBus(clock);
  const ending = new AbortController();
  const reader = bus.subscribe(ending.signal)[Symbol.asyncIterator]();
  const next = reader.next();
  await clock.advance(10_000);
  expect(await next).toEqual({ done: false, value: undefined });
  ending.abort();
  await reader.return?.();
});

test("progressOf() knows what a move told last, for a minute, and of a bounded number of moves", async () => {
  const clock = createManualClock();
  const bus = createEventBus(clock);
  const progress = { step: "copy", tablesDone: 0, tables: 1, rows: 0, bytes: 0, ofRows: 9, ofBytes: 90 } as const;
  const tell = (move: string, rows: number) =>
    bus.publish({ kind: "move-progress", move, tenant: "acme", progress: { ...progress, rows, rowsPerSecond: 1 } });
  expect(bus.progressOf("mv-1")).toBeUndefined();
  tell("mv-1", 1);
  tell("mv-1", 2);
  expect(bus.progressOf("mv-1")).toMatchObject({ at: new Date(clock.now()).toISOString(), progress: { rows: 2 } });
  for (let move = 2; move <= 1_001; move++) tell(`mv-${move}`, 1);
  expect(bus.progressOf("mv-1")).toBeUndefined();
  expect(bus.progressOf("mv-2")).toBeDefined();
  await clock.advance(60_001);
  expect(bus.progressOf("mv-2")).toBeUndefined();
});
