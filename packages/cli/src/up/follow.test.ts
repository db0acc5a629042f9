import { createClient, type StampView } from "@stampyard/api";
import { describe, expect, test } from "vitest";
import type { ProgressNode } from "../output/progress-tree.ts";
import { treeLines } from "../output/progress-tree.ts";
import { stubFetch } from "../test-io.ts";
import { watchStamps } from "./follow.ts";
import { isReady, stampNode, whatIsMissing } from "./stamp-nodes.ts";

const digest = `sha256:${"a".repeat(64)}` as const;
const at = "2026-11-22T14:03:00.000Z";
const signal = new AbortController().signal;
type Seen = NonNullable<StampView["observation"]>;

function seen(change: Partial<Seen> = {}): Seen {
  const components = [{ name: "api", replica: 0, status: "healthy" as const, restarts: 0, since: at }];
  return { presence: "present", host: "up", stampDigest: digest, components, at, ...change };
}

function stamp(change: Partial<StampView> = {}): StampView {
  return {
    name: "shared-1",
    pool: "shared",
    region: "eu",
    phase: "active",
    goal: "present",
    origin: "built",
    releaseDigest: digest,
    stampDigest: digest,
    parameters: {},
    capacity: { tenants: 50, units: {} },
    used: { tenants: 0, units: {} },
    endpoints: [{ host: "127.0.0.1", port: 21_000 }],
    endpointRevision: 1,
    revision: 1,
    observation: seen(),
    ...change,
  };
}

describe("isReady()", () => {
  test("an active stamp that is seen whole is ready", () => {
    expect(whatIsMissing(stamp())).toBeUndefined();
    expect(isReady(stamp())).toBe(true);
  });

  const sick = { name: "db", replica: 0, status: "unhealthy" as const, restarts: 3, since: at, reason: "no answer" };
  test.each<[string, StampView, RegExp]>([
    ["it was never looked at (silence is not health)", without(stamp(), "observation"), /not observed/],
    ["its host is down", stamp({ observation: seen({ host: "down" }) }), /host is down/],
    [
      "it runs something else",
      stamp({ observation: seen({ stampDigest: `sha256:${"b".repeat(64)}` }) }),
      /another digest/,
    ],
    ["it runs nothing known", stamp({ observation: without(seen(), "stampDigest") }), /another digest/],
    ["a component is sick", stamp({ observation: seen({ components: [sick] }) }), /db is unhealthy: no answer/],
    ["nobody knows where it listens", stamp({ endpoints: [] }), /endpoints/],
    [
      "the directory still names its old processes",
      stamp({ observation: seen({ endpointRevision: 2 }) }),
      /new endpoints/,
    ],
    ["it could not be looked at", stamp({ observation: seen({ presence: "unknown", reason: "busy" }) }), /busy/],
    ["it failed", stamp({ phase: "failed", cause: "migrate: exit code 1" }), /migrate: exit code 1/],
    ["it waits", stamp({ phase: "provisioning", waitingOn: "db" }), /db/],
  ])("is false when %s", (_, view, why) => {
    expect(isReady(view)).toBe(false);
    expect(whatIsMissing(view)).toMatch(why);
  });
});

function without<T, K extends keyof T>(value: T, key: K): T {
  const { [key]: _, ...rest } = value;
  return rest as T;
}

test("stampNode() shows what a stamp waits for, and its components below", () => {
  const starting = { name: "api", replica: 0, status: "starting" as const, restarts: 0, since: at };
  const waiting = stamp({
    phase: "provisioning",
    waitingOn: "api is starting",
    observation: seen({ components: [starting] }),
  });
  const progress = {
    kind: "progress" as const,
    at,
    stamp: "shared-1",
    component: "db",
    step: "clone",
    state: "end" as const,
    ms: 81.6,
  };
  const lines = treeLines([stampNode(waiting, new Map([["shared-1 db", progress]]))], 80);
  expect(lines).toEqual(["⠋ stamp shared-1 (eu)  api is starting", "  ├ ⠋ api  starting", "  └ ⠋ db  clone 82 ms"]);
});

describe("watchStamps()", () => {
  /** Each look gets the next answer; the last one stays. */
  function clientOf(...looks: readonly StampView[][]) {
    let look = 0;
    const answer = () => ({ json: { items: looks[Math.min(look++, looks.length - 1)] ?? [] } });
    return createClient({ url: "http://127.0.0.1:1", fetch: stubFetch({ "GET /v1/stamps": answer }) });
  }
  const options = { timeoutMs: 5_000, again: "stampyard up" };

  test("ends when every stamp is ready, having shown each look", async () => {
    const shown: (readonly ProgressNode[])[] = [];
    const client = clientOf([], [stamp({ phase: "provisioning" })], [stamp()]);
    const only = new Set(["shared-1"]);
    const ready = await watchStamps(client, { ...options, only }, signal, (nodes) => void shown.push(nodes));
    expect(ready.map((one) => one.name)).toEqual(["shared-1"]);
    expect(shown.map((nodes) => nodes[0]?.state)).toEqual([undefined, "working", "done"]);
  });

  test("gives up with the cause on a stamp that failed three times", async () => {
    const failed = stamp({ phase: "failed", attempt: 3, cause: "migrate: exit code 1" });
    const watched = watchStamps(
      clientOf([stamp({ phase: "failed", attempt: 2, cause: "x" })], [failed]),
      options,
      signal,
      () => undefined,
    );
    await expect(watched).rejects.toMatchObject({
      code: "STAMP_FAILED",
      exit: 1,
      message: expect.stringContaining("migrate: exit code 1"),
    });
  });

  test("says what is missing when time runs out, with exit code 3", async () => {
    const waiting = stamp({ phase: "provisioning", waitingOn: "db is starting" });
    const watched = watchStamps(clientOf([waiting]), { ...options, timeoutMs: 50 }, signal, () => undefined);
    await expect(watched).rejects.toMatchObject({
      code: "TIMEOUT",
      exit: 3,
      message: expect.stringContaining("shared-1: db is starting"),
    });
  });
});
