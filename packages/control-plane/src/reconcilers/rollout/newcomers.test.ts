import type { RolloutCandidate, RolloutMember, RolloutPlan, Stamp } from "@stampyard/domain";
import { expect, test } from "vitest";
import { refreshed } from "./newcomers.ts";

type Rollout = Parameters<typeof refreshed>[1];

const capacity = { tenants: 10, units: {} };
const aim = (release: string) => {
  return { release: `sha256:${release}`, stampDigest: `sha256:${release}-s`, parameters: {}, capacity } as const;
};
const row = { name: "s-1", releaseDigest: "sha256:r2", stampDigest: "sha256:r2-s", parameters: {}, capacity };
const rows = new Map([["s-1", row as unknown as Stamp]]);
const member: RolloutMember = {
  stamp: "s-1",
  wave: 0,
  place: 0,
  from: aim("r1"),
  to: aim("r3"),
  state: { kind: "waiting" },
};
const plan = { actions: [{ kind: "refresh", stamp: "s-1" }] } as unknown as RolloutPlan;
const candidates = async () => [{ stamp: "s-1", to: aim("r2-with-db") } as unknown as RolloutCandidate];
const turn = { token: 1, signal: new AbortController().signal } as never;

const refresh = (over: Partial<Rollout>) => {
  const rollout = { id: "ro-1", components: [], ...over } as unknown as Rollout;
  return refreshed({ candidates }, rollout, [member], rows, new Map(), plan, turn);
};

test("refreshed() goes back to what a stamp runs now, and composes again what is a part of it (I37)", async () => {
  expect(await refresh({})).toEqual([{ ...member, from: aim("r2") }]);
  expect(await refresh({ components: ["db"] })).toEqual([{ ...member, from: aim("r2"), to: aim("r2-with-db") }]);
});

test("refreshed() takes nothing back from a stamp that has had another release since", async () => {
  const skipped = { kind: "skipped", why: "it has had another release since" };
  expect(await refresh({ undoes: "ro-0" })).toEqual([{ ...member, from: aim("r2"), state: skipped }]);
});
