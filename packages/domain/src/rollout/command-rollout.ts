import { StampyardError } from "../errors.ts";
import type { Instant } from "../ports.ts";
import { beginsBake, stepped } from "./after-plan.ts";
import { returning } from "./plan-return.ts";
import {
  endedRollouts,
  type MemberState,
  type Rollout,
  type RolloutCommand,
  type RolloutMember,
  type RolloutState,
} from "./rollout.ts";
import { rolloutWords } from "./rollout-words.ts";

export interface CommandedRollout {
  /** The very same object if the command has been obeyed already. */
  readonly rollout: Rollout;
  /** Members that differ. Those that are `updating` now are aimed at their `to`, those `returning` at their `from`. */
  readonly members: readonly RolloutMember[];
}

export interface CommandContext {
  /** Who says it, by name. */
  readonly actor: string;
  readonly reason?: string;
  readonly now: Instant;
}

/**
 * A person's word, in force at once: recorded in one transaction, it wins over whatever the reconciler is about to write
 * (I36). A word that has been obeyed already changes nothing.
 *
 * @throws StampyardError WRONG_PHASE where it has no meaning
 */
export function commandRollout(
  rollout: Rollout,
  members: readonly RolloutMember[],
  command: RolloutCommand,
  { actor, reason, now }: CommandContext,
): CommandedRollout {
  const { state } = rollout;
  const same: CommandedRollout = { rollout, members: [] };
  const to = (next: RolloutState, changed: ReadonlyMap<string, MemberState> = new Map(), waves = rollout.waves) => {
    const { gate, waitingOn: _, ...rest } = rollout;
    const kept = gate === undefined || beginsBake(state, next) ? {} : { gate };
    const differing = members.flatMap((member): readonly RolloutMember[] => {
      const now = changed.get(member.stamp);
      return now === undefined ? [] : [{ ...member, state: now }];
    });
    const { waitsFor } = rolloutWords({ ...rest, waves, state: next }, now);
    const said = waitsFor === undefined ? {} : { waitingOn: waitsFor };
    return { rollout: { ...rest, ...kept, ...said, waves, ...stepped(rollout, next, now) }, members: differing };
  };
  switch (command.kind) {
    case "abort": {
      const cause = reason ?? `${actor} aborted it`;
      if (state.kind === "aborting" || state.kind === "aborted") return same;
      if (endedRollouts.includes(state.kind)) throw refusal(rollout, "abort", undoMend(rollout));
      if (state.kind === "queued") return to({ kind: "aborted", at: now, cause, by: actor });
      return to({ kind: "aborting", since: now, cause, by: actor }, returning(members, new Map(), now));
    }
    case "pause": {
      if (state.kind === "paused") return same;
      if (state.kind !== "updating" && state.kind !== "baking" && state.kind !== "approval") {
        throw refusal(rollout, "pause", state.kind === "queued" ? "Abort it: it has not begun." : undefined);
      }
      return to({ kind: "paused", since: now, why: reason ?? `${actor} paused it`, by: actor, was: state });
    }
    case "resume": {
      if (state.kind !== "paused") return isUnderWay(state) ? same : raise(refusal(rollout, "resume"));
      const failed = failedOf(members);
      if (failed.length === 0) return to(resumed(state, now));
      const mend = `Retry it, promote it without them, or abort it: ${failed.length} of its members failed, ${failed[0]} for one.`;
      throw refusal(rollout, "resume", mend);
    }
    case "approve": {
      if (state.kind === "approval") return to({ kind: "updating", wave: state.wave, since: now });
      if (state.kind === "updating" && rollout.waves[state.wave]?.approval === true) return same;
      throw refusal(rollout, "approve", state.kind === "paused" ? "Resume it first." : undefined);
    }
    case "retry": {
      const failed = failedOf(members);
      if (failed.length === 0) {
        const isAgain = state.kind === "updating" && members.some((member) => member.state.kind === "updating");
        return isAgain ? same : raise(refusal(rollout, "retry", "None of its members has failed."));
      }
      if (state.kind !== "paused" && state.kind !== "updating") throw refusal(rollout, "retry");
      const again = new Map(failed.map((stamp) => [stamp, { kind: "updating", since: now } as const]));
      if (state.kind === "updating") return to(state, again);
      // Somebody of the wave is on the way again, so it bakes later.
      const { kind, wave } = state.was;
      return to({ kind: kind === "approval" ? kind : "updating", wave, since: now }, again);
    }
    case "promote":
      return promoted(rollout, members, command.full, now, to) ?? same;
  }
}

type To = (
  next: RolloutState,
  changed?: ReadonlyMap<string, MemberState>,
  waves?: Rollout["waves"],
) => CommandedRollout;

/** Past bake and verdict of the wave under way, without the members that failed. */
function promoted(
  rollout: Rollout,
  members: readonly RolloutMember[],
  isFull: boolean,
  now: Instant,
  to: To,
): CommandedRollout | undefined {
  const { state } = rollout;
  const work = state.kind === "paused" ? state.was : state;
  if (work.kind === "approval") throw refusal(rollout, "promote", "Approve the wave.");
  if (work.kind !== "updating" && work.kind !== "baking") throw refusal(rollout, "promote");
  const isMeant = (index: number) => index === work.wave || (isFull && index > work.wave);
  const waves = rollout.waves.map((wave, index) => (isMeant(index) ? { ...wave, promoted: true } : wave));
  const isObeyed = rollout.waves.every(({ promoted: was }, index) => was === true || !isMeant(index));
  if (isObeyed && state.kind !== "paused") return undefined;
  const next = state.kind === "paused" ? resumed(state, now) : state;
  return to(next, returning(members, new Map(), now, ["failed"]), waves);
}

/** Where it was, with what was left of its bake. */
function resumed({ was, since }: Extract<RolloutState, { kind: "paused" }>, now: Instant): RolloutState {
  if (was.kind !== "baking") return { ...was, since: now };
  return { ...was, since: now, until: now + Math.max(0, was.until - Math.max(since, was.since)) };
}

function isUnderWay({ kind }: RolloutState): boolean {
  return kind === "updating" || kind === "baking" || kind === "approval";
}

function failedOf(members: readonly RolloutMember[]): readonly string[] {
  return members.filter(({ state }) => state.kind === "failed").map(({ stamp }) => stamp);
}

function undoMend({ id, state }: Rollout): string | undefined {
  return state.kind === "done" ? `Take it back by: stampyard rollout undo ${id}` : undefined;
}

function refusal({ id, state }: Rollout, verb: string, mend?: string): StampyardError {
  const message = `Cannot ${verb} rollout ${id}, which is ${state.kind}`;
  return new StampyardError("WRONG_PHASE", message, mend === undefined ? {} : { mend });
}

function raise(error: StampyardError): never {
  throw error;
}
