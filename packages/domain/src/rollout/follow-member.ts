import type { Instant } from "../ports.ts";
import { isServing } from "../stamp.ts";
import { alreadyThere } from "./plan-waves.ts";
import type { Aim, MemberState, RolloutMember } from "./rollout.ts";
import type { MemberSeen } from "./rollout-world.ts";
import { bringsRules, sameAim } from "./same-aim.ts";

/** A failed attempt may be a hiccup, and is repeated by the stamp's own reconciler. Twice is a fault. */
const mostAttempts = 2;

/**
 * A member's state as its stamp says that it is, or the very same object. Silence changes nothing: who cannot be looked
 * at has neither arrived nor come back (I35).
 *
 * @param updateWithinMs how long an update may take before it has failed
 */
export function followMember(
  { state, from, to }: RolloutMember,
  seen: MemberSeen | undefined,
  now: Instant,
  updateWithinMs: number,
): MemberState {
  if (state.kind === "skipped" || state.kind === "returned") return state;
  const left = whyLeft(seen);
  if (left !== undefined || seen === undefined) return { kind: "skipped", why: left ?? "its stamp is gone" };
  switch (state.kind) {
    case "waiting":
      return sameAim(from, to) ? { kind: "skipped", why: alreadyThere } : state;
    case "updating": {
      const { since } = state;
      if (hasArrived(seen, to, since) && isRouted(seen, from, to)) return { kind: "updated", since, at: now };
      const cause = whyFailed(seen, to, since, now, updateWithinMs);
      if (cause !== undefined) return { kind: "failed", since, at: now, cause };
      return mendedSince(state, seen, now);
    }
    case "returning":
      return hasArrived(seen, from, state.since) && isRouted(seen, to, from)
        ? { kind: "returned", at: now }
        : mendedSince(state, seen, now);
    default:
      return state;
  }
}

/**
 * From when on an observation shows what came of an order that is given now: none that is known already does, also if
 * clocks went back.
 */
export function orderedAt(seen: Pick<MemberSeen, "observedAt"> | undefined, now: Instant): Instant {
  return Math.max(now, seen?.observedAt ?? now);
}

function whyLeft(seen: MemberSeen | undefined): string | undefined {
  if (seen === undefined || seen.phase === "gone") return "its stamp is gone";
  return seen.isLeaving || seen.phase === "destroying" ? "its stamp is to be destroyed" : undefined;
}

function hasArrived(seen: MemberSeen, { stampDigest }: Aim, since: Instant): boolean {
  return runs(seen, stampDigest) && seen.observedAt > since;
}

/** Rules that nobody goes by yet would be judged by requests that went by the old ones. */
function isRouted(seen: MemberSeen, before: Aim, after: Aim): boolean {
  return !bringsRules(before, after) || (seen.routing === after.routing && seen.isRouted === true);
}

/** Whether it was seen to run it, complete and serving. */
export function runs(seen: MemberSeen, stampDigest: Aim["stampDigest"]): boolean {
  return seen.aimed === stampDigest && seen.running === stampDigest && seen.isWhole && isServing(seen.phase);
}

function whyFailed(
  { setback, lack, running }: MemberSeen,
  { stampDigest }: Aim,
  since: Instant,
  now: Instant,
  withinMs: number,
): string | undefined {
  const isNew = setback !== undefined && setback.stampDigest === stampDigest && setback.at > since;
  if (isNew && setback.attempt >= mostAttempts) return setback.cause;
  if (now - since < withinMs) return undefined;
  const last = isNew ? setback.cause : running === undefined ? "it cannot be looked at" : lack;
  return `it has not arrived after ${Math.round((now - since) / 1_000)} s${last === undefined ? "" : `: ${last}`}`;
}

/** A time that lies ahead was written before a clock went back, and would be waited for. */
function mendedSince<S extends { readonly since: Instant }>(state: S, seen: MemberSeen, now: Instant): S {
  const since = orderedAt(seen, now);
  return state.since > since ? { ...state, since } : state;
}
