import { describe, expect, test } from "vitest";
import { commandRollout } from "./command-rollout.ts";
import {
  type MemberState,
  type Rollout,
  type RolloutCommand,
  type RolloutMember,
  type RolloutState,
  rolloutNext,
} from "./rollout.ts";
import { aimOf, digest, strategyFor } from "./test-rollouts.ts";

const now = 1_000_000;
const context = { actor: "ada", now };

const wave = { bakeMs: 60_000, maxUnavailable: 1, approval: false };

function rolloutIn(state: RolloutState): Rollout {
  return {
    id: "ro-1",
    release: digest("r1"),
    components: [],
    strategy: strategyFor(),
    waves: [
      { name: "canary", ...wave },
      { name: "wave-2", ...wave, approval: true },
      { name: "rest", ...wave },
    ],
    state,
    hotfix: false,
    by: "ada",
    spent: { activeMs: 1, bakingMs: 2, waitingMs: 3 },
    looks: 0,
    hooksDone: [],
    waitingOn: "the end of the bake",
  };
}

const updating = { kind: "updating", wave: 1, since: now - 5_000 } as const;
const baking = { kind: "baking", wave: 1, since: now - 5_000, until: now + 55_000 } as const;
const approval = { kind: "approval", wave: 1, since: now - 5_000 } as const;
const paused = { kind: "paused", since: now - 5_000, why: "x", by: "gate", was: updating } as const;

const states: readonly RolloutState[] = [
  { kind: "queued", since: now - 5_000 },
  updating,
  baking,
  approval,
  paused,
  { kind: "paused", since: now - 1_000, why: "x", by: "bo", was: baking },
  { kind: "aborting", since: now - 5_000, cause: "x", by: "gate" },
  { kind: "aborted", at: now, cause: "x", by: "gate" },
  { kind: "done", at: now },
  { kind: "superseded", at: now, by: "ro-2" },
];

const phases: readonly MemberState[] = [
  { kind: "waiting" },
  { kind: "updating", since: now - 4_000 },
  { kind: "updated", since: now - 4_000, at: now - 3_000 },
  { kind: "returned", at: now - 1 },
  { kind: "skipped", why: "it is pinned" },
];
const failed: MemberState = { kind: "failed", since: now - 4_000, at: now - 3_000, cause: "job migrate failed" };

function members(list: readonly MemberState[]): RolloutMember[] {
  return list.map((state, place): RolloutMember => {
    return { stamp: `s-${state.kind}`, wave: 1, place, from: aimOf("r0"), to: aimOf("r1"), state };
  });
}

function say(state: RolloutState, command: RolloutCommand, list: readonly MemberState[] = phases) {
  return commandRollout(rolloutIn(state), members(list), command, context);
}

const refused = (state: RolloutState, command: RolloutCommand, list?: readonly MemberState[]) => {
  expect(() => say(state, command, list)).toThrow(expect.objectContaining({ code: "WRONG_PHASE" }));
};

describe("commandRollout()", () => {
  test("aborts from every phase that has not ended, at once, with every touched member on its way back (I36)", () => {
    for (const state of states) {
      const isEnded = state.kind === "done" || state.kind === "superseded";
      if (isEnded) {
        refused(state, { kind: "abort" });
        continue;
      }
      const { rollout, members: changed } = say(state, { kind: "abort" }, [...phases, failed]);
      const kind = state.kind === "queued" || state.kind === "aborted" ? "aborted" : "aborting";
      expect(rollout.state.kind, state.kind).toBe(kind);
      if (state.kind === "aborting" || state.kind === "aborted" || state.kind === "queued") {
        expect(changed).toEqual([]);
        continue;
      }
      expect(changed.map(({ stamp }) => stamp).toSorted()).toEqual(["s-failed", "s-updated", "s-updating"]);
      expect(changed.every((one) => one.state.kind === "returning" && one.state.since === now)).toBe(true);
      expect(rollout.waitingOn).toBe("its members to run again what they ran before");
    }
    const said = commandRollout(rolloutIn(updating), [], { kind: "abort" }, { ...context, reason: "orders are lost" });
    expect(said.rollout.state).toEqual({ kind: "aborting", since: now, cause: "orders are lost", by: "ada" });
  });

  test("pauses what is under way, and goes on where it was with what was left of its bake", () => {
    const stopped = say(baking, { kind: "pause" });
    expect(stopped.rollout.state).toEqual({ kind: "paused", since: now, why: "ada paused it", by: "ada", was: baking });
    expect(stopped.rollout.spent).toEqual({ activeMs: 1, bakingMs: 5_002, waitingMs: 3 });
    const later = commandRollout(stopped.rollout, [], { kind: "resume" }, { ...context, now: now + 100_000 });
    expect(later.rollout.state).toEqual({ ...baking, since: now + 100_000, until: now + 155_000 });
    expect(later.rollout.spent).toEqual({ activeMs: 1, bakingMs: 5_002, waitingMs: 100_003 });
    const gate = { at: now - 1, verdict: "go", checks: [], tookLook: false } as const;
    const judged = commandRollout({ ...stopped.rollout, gate }, [], { kind: "resume" }, context);
    expect(judged.rollout.gate, "no verdict of before the pause").toBeUndefined();
    const over = { ...baking, until: now - 1 };
    const again = say({ ...paused, since: now - 1, was: over }, { kind: "resume" });
    expect(again.rollout.state, "its verdict is asked for again").toEqual({ ...over, since: now, until: now });
    refused({ kind: "queued", since: 1 }, { kind: "pause" });
    refused({ kind: "aborting", since: 1, cause: "x", by: "gate" }, { kind: "pause" });
    refused({ kind: "aborting", since: 1, cause: "x", by: "gate" }, { kind: "resume" });
    refused(paused, { kind: "resume" }, [failed]);
  });

  test("retries members that failed, and nobody else", () => {
    const { rollout, members: changed } = say(paused, { kind: "retry" }, [...phases, failed]);
    expect(rollout.state).toEqual({ ...updating, since: now });
    expect(changed.map(({ stamp, state }) => [stamp, state])).toEqual([["s-failed", { kind: "updating", since: now }]]);
    const waits = { ...paused, was: approval };
    expect(say(waits, { kind: "retry" }, [failed]).rollout.state, "no approval is passed").toEqual({
      ...approval,
      since: now,
    });
    refused(paused, { kind: "retry" });
    refused({ kind: "aborting", since: 1, cause: "x", by: "gate" }, { kind: "retry" }, [failed]);
  });

  test("approves the wave that waits for it, and no other", () => {
    expect(say(approval, { kind: "approve" }).rollout.state).toEqual({ ...updating, since: now });
    expect(say(updating, { kind: "approve" }).rollout.state, "said twice").toBe(updating);
    refused({ ...updating, wave: 0 }, { kind: "approve" });
    refused(baking, { kind: "approve" });
    refused({ ...paused, was: approval }, { kind: "approve" });
  });

  test("promotes the wave under way, or all that follow, without those that failed, and passes no approval", () => {
    const promoted = (command: RolloutCommand, state: RolloutState = baking) => {
      return say(state, command, [...phases, failed]).rollout.waves.map((one) => one.promoted === true);
    };
    expect(promoted({ kind: "promote", full: false })).toEqual([false, true, false]);
    expect(promoted({ kind: "promote", full: true })).toEqual([false, true, true]);
    const { rollout, members: changed } = say(paused, { kind: "promote", full: false }, [...phases, failed]);
    expect(rollout.state).toEqual({ ...updating, since: now });
    expect(changed.map(({ stamp, state }) => [stamp, state.kind])).toEqual([["s-failed", "returning"]]);
    expect(rollout.waves[1]?.approval).toBe(true);
    refused(approval, { kind: "promote", full: true });
    refused({ ...paused, was: approval }, { kind: "promote", full: false });
    refused({ kind: "queued", since: 1 }, { kind: "promote", full: false });
  });

  test("does nothing that its table does not allow, and nothing twice", () => {
    const kinds = ["pause", "resume", "approve", "abort", "retry"] as const;
    const commands: RolloutCommand[] = [...kinds.map((kind) => ({ kind })), { kind: "promote", full: true }];
    for (const state of states) {
      for (const command of commands) {
        const before = members([...phases, failed]);
        let after: ReturnType<typeof commandRollout>;
        try {
          after = commandRollout(rolloutIn(state), before, command, context);
        } catch {
          continue;
        }
        const to = after.rollout.state.kind;
        const isLegal = to === state.kind || (rolloutNext[state.kind] as readonly string[]).includes(to);
        expect(isLegal, `${command.kind}: ${state.kind} to ${to}`).toBe(true);
        const merged = before.map((one) => after.members.find(({ stamp }) => stamp === one.stamp) ?? one);
        const again = commandRollout(after.rollout, merged, command, { ...context, now: now + 1 });
        expect(again.rollout, `${command.kind} of ${state.kind}, twice`).toBe(after.rollout);
        expect(again.members).toEqual([]);
      }
    }
  });
});
