import { afterAll, beforeAll, expect, test } from "vitest";
import { type RecordingStamp, startRecordingStamp } from "../conformance/recording-stamp.ts";
import { answersOf, openRawClient } from "../conformance/raw-client.ts";
import { eventually, hostOf, type RouterUnderTest, startRouterUnderTest } from "../conformance/router-under-test.ts";

const clients = 16;
let stamp: RecordingStamp;
let router: RouterUnderTest;

beforeAll(async () => {
  stamp = await startRecordingStamp();
  router = await startRouterUnderTest([{ stamp: "home", tenant: "acme", port: stamp.port }], { workers: 2 });
}, 60_000);
afterAll(async () => {
  await router?.[Symbol.asyncDispose]();
  await stamp?.stop();
});

interface Worker {
  readonly pid: number;
  readonly state: string;
}

async function workers(): Promise<readonly Worker[]> {
  const answer = await fetch(`http://127.0.0.1:${router.adminPort}/stats`);
  return ((await answer.json()) as { workers: readonly Worker[] }).workers;
}

interface Outcomes {
  readonly done: string[];
  readonly failed: string[];
}

/** Posts one request after the other, each with a name of its own; a lost connection is opened again. */
async function post(client: number, outcomes: Outcomes, more: () => boolean): Promise<void> {
  let connection = await openRawClient(router.port);
  for (let n = 0; more(); n++) {
    const name = `/${client}-${n}`;
    connection.received = "";
    connection.send(`POST ${name} HTTP/1.1\r\nHost: ${hostOf("acme")}\r\nContent-Length: 2\r\n\r\nhi`);
    await connection.until(() => answersOf(connection, ["POST"]).answers[0]?.complete === true, 10_000);
    const [answer] = answersOf(connection, ["POST"]).answers;
    (answer?.status === 200 ? outcomes.done : outcomes.failed).push(name);
    if (connection.ended === "open") continue;
    connection.socket.destroy();
    connection = await openRawClient(router.port);
  }
  connection.socket.destroy();
}

test("kill -9 of a worker under load: only requests in flight on it fail, and none is done twice (I7, I12)", async () => {
  let over = false;
  const all = Array.from({ length: clients }, (): Outcomes => ({ done: [], failed: [] }));
  const done = () => all.reduce((sum, outcomes) => sum + outcomes.done.length, 0);
  const load = all.map((outcomes, client) => post(client, outcomes, () => !over));
  try {
    for (let round = 0; round < 3; round++) {
      const before = await workers();
      const sofar = done();
      await eventually(() => expect(done()).toBeGreaterThan(sofar + 300), 15_000);
      process.kill(before[0]?.pid ?? 0, "SIGKILL");
      await eventually(async () => {
        const after = await workers();
        expect(after.map(({ state }) => state)).toEqual(["serving", "serving"]);
        expect(after.map(({ pid }) => pid)).not.toContain(before[0]?.pid);
      }, 15_000);
    }
  } finally {
    over = true;
    await Promise.all(load);
  }
  // A connection carries one request at a time, so a death costs each client one at most.
  expect(all.map(({ failed }) => failed.length).filter((count) => count > 3)).toEqual([]);
  const seen = new Map<string, number>();
  for (const { target } of stamp.requests) seen.set(target, (seen.get(target) ?? 0) + 1);
  expect(all.flatMap((outcomes) => outcomes.done).filter((name) => seen.get(name) !== 1)).toEqual([]);
  expect(all.flatMap((outcomes) => outcomes.failed).filter((name) => (seen.get(name) ?? 0) > 1)).toEqual([]);
  expect(stamp.faults.filter((fault) => !fault.includes("incomplete"))).toEqual([]);
}, 90_000);
