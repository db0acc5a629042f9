import type { FeedPosition } from "@stampyard/directory";
import { expect, test } from "vitest";
import { createAcknowledger } from "./acknowledger.ts";
import type { ControlPlane } from "./control-plane.ts";

const positionOf = (version: number): FeedPosition => ({ incarnation: 1, version, chain: "0".repeat(64) });

function bed() {
  const sent: { readonly version: number; readonly at: number }[] = [];
  const stop = new AbortController();
  let newest = positionOf(1);
  const acknowledge: ControlPlane["acknowledge"] = async ({ version }) =>
    void sent.push({ version, at: performance.now() });
  const acknowledger = createAcknowledger({
    controlPlane: { acknowledge } as ControlPlane,
    router: "r1",
    position: () => newest,
    signal: stop.signal,
    log: () => {},
  });
  return {
    sent,
    stop,
    acknowledger,
    apply: (version: number) => {
      newest = positionOf(version);
      acknowledger.wake();
    },
  };
}

test("wake() acknowledges a change alone at once, and many in few calls that end at the newest", async () => {
  const { sent, acknowledger, apply } = bed();
  const startedAt = performance.now();
  apply(2);
  expect(sent.map(({ version }) => version)).toEqual([2]);
  for (let version = 3; performance.now() - startedAt < 200; version++) {
    apply(version);
    await new Promise((resolve) => setImmediate(resolve));
  }
  apply(1_000_000);
  await acknowledger.done();
  expect(sent.at(-1)?.version).toBe(1_000_000);
  // 20 ms apart: ten of them, the first and the last.
  expect(sent.length).toBeLessThanOrEqual(13);
  const between = sent.slice(1).map(({ at }, n) => at - (sent[n]?.at ?? 0));
  expect(Math.min(...between)).toBeGreaterThan(15);
});

test("a router that stops does not wait for the next acknowledgement", async () => {
  const { sent, acknowledger, apply, stop } = bed();
  apply(2);
  await acknowledger.done();
  apply(3);
  stop.abort();
  await acknowledger.done();
  expect(sent.map(({ version }) => version)).toEqual([2]);
});
