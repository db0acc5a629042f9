import { describe, expect, test } from "vitest";
import { followMember } from "./follow-member.ts";
import type { Aim, MemberState, RolloutMember } from "./rollout.ts";
import { whoTakesOver } from "./rollout-queue.ts";
import type { MemberSeen } from "./rollout-world.ts";
import { bringsRules, keepingRules, sameAim } from "./same-aim.ts";
import { aimOf, digest, strategyFor } from "./test-rollouts.ts";
import { isStale } from "./wave-steps.ts";

// Routing rules as a part of what a rollout brings to a stamp.

const ruled = (rules: string | undefined): Aim => {
  return rules === undefined ? aimOf("r0") : { ...aimOf("r0"), routing: digest(rules) };
};
const now = 1_000;
const since = 100;
const member = (state: MemberState, to = ruled("new")): RolloutMember => {
  return { stamp: "a", wave: 0, place: 0, from: ruled("old"), to, state };
};
const seenWith = (rules: string, isRouted: boolean): MemberSeen => {
  const { stampDigest } = aimOf("r0");
  const seen = { aimed: stampDigest, running: stampDigest, observedAt: now - 1, isWhole: true, isLeaving: false };
  return { phase: "active", ...seen, routing: digest(rules), isRouted };
};

describe("followMember()", () => {
  const kind = (state: MemberState, seen: MemberSeen, to?: Aim) =>
    followMember(member(state, to), seen, now, 60_000).kind;
  const updating = { kind: "updating", since } as const;
  const returning = { kind: "returning", since } as const;

  test("takes a member for arrived when routers go by its rules, and for back when they go by the old ones (I35)", () => {
    expect(kind(updating, seenWith("new", false))).toBe("updating");
    expect(kind(updating, seenWith("old", true))).toBe("updating");
    expect(kind(updating, seenWith("new", true))).toBe("updated");
    expect(kind(returning, seenWith("old", false))).toBe("returning");
    expect(kind(returning, seenWith("new", true))).toBe("returning");
    expect(kind(returning, seenWith("old", true))).toBe("returned");
  });

  test("waits for no router where no rules change", () => {
    expect(kind(updating, seenWith("old", false), ruled("old"))).toBe("updated");
    expect(kind(updating, seenWith("old", false), ruled(undefined))).toBe("updated");
  });

  test("begins what differs in its rules alone", () => {
    expect(kind({ kind: "waiting" }, seenWith("old", true))).toBe("waiting");
    expect(kind({ kind: "waiting" }, seenWith("old", true), ruled(undefined))).toBe("skipped");
  });
});

test("isStale() sees that somebody else has changed the rules of a stamp", () => {
  const seen = seenWith("other", true);
  const world = { members: new Map([["a", seen]]) } as unknown as Parameters<typeof isStale>[1];
  expect(isStale(member({ kind: "waiting" }), world)).toBe(true);
  expect(isStale({ ...member({ kind: "waiting" }), from: ruled("other") }, world)).toBe(false);
  expect(isStale({ ...member({ kind: "waiting" }), from: ruled(undefined) }, world)).toBe(false);
});

test("an aim that names no rules leaves those that hold", () => {
  expect(sameAim(ruled("old"), ruled(undefined))).toBe(true);
  expect(sameAim(ruled("old"), ruled("new"))).toBe(false);
  expect(bringsRules(ruled("old"), ruled(undefined))).toBe(false);
  expect(keepingRules(ruled(undefined), ruled("old"))).toEqual(ruled("old"));
  expect(keepingRules(ruled("new"), ruled("old"))).toEqual(ruled("new"));
});

test("whoTakesOver() lets a rollout make way only if its members had the same rules before", () => {
  const rival = (id: string, kind: "updating" | "queued") => {
    const state = kind === "queued" ? ({ kind, since } as const) : ({ kind, wave: 0, since } as const);
    return { id, components: [], strategy: strategyFor({ onNewer: "supersede" }), state, hotfix: false };
  };
  const open = [rival("a", "updating"), rival("b", "queued")] as const;
  const from = (rules: string) => ({ from: ruled(rules), state: { kind: "waiting" } }) as const;
  expect(whoTakesOver(open[0], [from("old"), from("old")], open)).toBe("b");
  expect(whoTakesOver(open[0], [from("old"), from("new")], open)).toBeUndefined();
});
