import type { Digest, Stamp, StampObservation, StampPlan } from "@stampyard/domain";
import { expect, test } from "vitest";
import { releaseWaits } from "./release-waits.ts";

const stamp = { name: "a", state: { kind: "active" }, stampDigest: "sha256:2" as Digest } as Stamp;
const seen = (digest: string) => ({ presence: "present", stampDigest: `sha256:${digest}` }) as StampObservation;
const plan: StampPlan = { next: stamp.state, actions: [{ kind: "apply", why: "its release changed" }] };
const depsWith = (moves: number) => ({ store: { moves: { atWork: async () => new Map([["a", moves]]) } } }) as never;

test("releaseWaits() holds another release back while the stamp's tenants move, and nothing else (D15)", async () => {
  expect(await releaseWaits(depsWith(0), stamp, seen("1"), plan)).toBe(plan);
  expect(await releaseWaits(depsWith(2), stamp, seen("2"), plan), "mending").toBe(plan);
  expect(await releaseWaits(depsWith(2), stamp, seen("1"), plan)).toEqual({
    next: stamp.state,
    actions: [],
    waitingOn: "2 moves to end before it gets its new release",
  });
});
