import {
  admit,
  type BreakerRules,
  type BreakerState,
  defaultBreakerRules,
  newBreaker,
  type Outcome,
  type Permit,
  settle,
} from "./breaker.ts";

/** The breakers of all stamps that were asked for; one stamp's never touches another's (I12). */
export interface StampBreakers {
  /** A permit, or in how many milliseconds it is worth asking again. Every permit is handed back once, to `leave`. */
  enter(stamp: string): Permit | number;
  leave(stamp: string, permit: Permit, outcome: Outcome): void;
  /** For metrics and explanations. */
  stateOf(stamp: string): BreakerState["kind"];
  /** Stamps that are not closed; a closed one is the normal case. */
  tripped(): readonly string[];
  /** The stamp left the directory, or is to be found elsewhere from now on. */
  remove(stamp: string): void;
}

export interface BreakerPorts {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** 0 ≤ chance < 1 */
  readonly chance: () => number;
}

/** Keeps only what is not new, so it is bounded by the stamps that failed. */
export function createStampBreakers(ports: BreakerPorts, rules: BreakerRules = defaultBreakerRules): StampBreakers {
  const states = new Map<string, BreakerState>();
  // Nearly always there are none.
  const known = (stamp: string) => (states.size === 0 ? undefined : states.get(stamp));
  const passes: Permit = { generation: newBreaker.generation, probe: false };

  return {
    enter(stamp) {
      const state = known(stamp);
      // Nearly all requests: the stamp never failed, and nothing is allocated.
      if (state === undefined) return passes;
      const admission = admit(state, ports.now(), ports.chance(), rules);
      states.set(stamp, admission.next);
      return admission.kind === "pass" ? admission.permit : admission.retryAfterMs;
    },
    leave(stamp, permit, outcome) {
      const state = known(stamp);
      if (state === undefined && outcome !== "failure") return;
      const at = { now: ports.now(), chance: ports.chance() };
      states.set(stamp, settle(state ?? newBreaker, permit, outcome, at, rules));
    },
    stateOf: (stamp) => (states.get(stamp) ?? newBreaker).kind,
    tripped: () => [...states].flatMap(([stamp, { kind }]) => (kind === "closed" ? [] : [stamp])),
    remove: (stamp) => void states.delete(stamp),
  };
}
