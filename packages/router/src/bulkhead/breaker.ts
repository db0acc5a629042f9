/** A breaker of one stamp: decides whether a request may be tried at all. Pure; time and chance are arguments. */
export type BreakerState =
  /** Requests pass; `failures` in a row so far. */
  | { readonly kind: "closed"; readonly generation: number; readonly failures: number; readonly trips: number }
  /** Requests are refused until `until`. `trips` openings in a row make the pause longer. */
  | { readonly kind: "open"; readonly generation: number; readonly until: number; readonly trips: number }
  /** A few requests try it, each counted in `probes` until it is settled; the others are refused. */
  | {
      readonly kind: "half-open";
      readonly generation: number;
      readonly probes: number;
      readonly successes: number;
      /** Probes that are not settled by then count as failed. */
      readonly deadline: number;
      readonly trips: number;
    };

/** Where a breaker may go next. */
export const breakerNext = {
  closed: ["open"],
  open: ["half-open"],
  "half-open": ["closed", "open"],
} as const satisfies Record<BreakerState["kind"], readonly BreakerState["kind"][]>;

export interface BreakerRules {
  /** Failures in a row that open it. Only what says that the stamp is out: no connection, no answer, a broken answer. */
  readonly failuresToOpen: number;
  /** First pause, in milliseconds; doubled at every opening in a row, up to `longestOpenMs`. */
  readonly openMs: number;
  readonly longestOpenMs: number;
  /** Probes on their way at the same time. */
  readonly probes: number;
  /** Successful probes that close it. */
  readonly successesToClose: number;
  /** How long probes may take, in milliseconds. */
  readonly probeMs: number;
}

export const defaultBreakerRules: BreakerRules = Object.freeze({
  failuresToOpen: 5,
  openMs: 250,
  // A probe costs a stamp that is out one connection; a longer pause keeps tenants waiting for one that is back.
  longestOpenMs: 1_000,
  probes: 2,
  successesToClose: 2,
  probeMs: 10_000,
});

/** Given to a request that may be tried; handed back with its outcome. */
export interface Permit {
  /** Of the state that gave it: an outcome that comes after the state changed says nothing about the new one. */
  readonly generation: number;
  readonly probe: boolean;
}

export type Admission =
  | { readonly kind: "pass"; readonly next: BreakerState; readonly permit: Permit }
  /** `retryAfterMs` = when it is worth asking again. */
  | { readonly kind: "refuse"; readonly next: BreakerState; readonly retryAfterMs: number };

/** `abandoned` = the client left first, so nothing was learned. */
export type Outcome = "success" | "failure" | "abandoned";

export const newBreaker: BreakerState = Object.freeze({ kind: "closed", generation: 0, failures: 0, trips: 0 });

/**
 * Asks for one request.
 * @param now milliseconds of a clock that never goes back
 * @param chance 0 ≤ chance < 1; spreads the end of a pause, so that routers do not probe as one
 */
export function admit(state: BreakerState, now: number, chance: number, rules: BreakerRules): Admission {
  switch (state.kind) {
    case "closed":
      return { kind: "pass", next: state, permit: { generation: state.generation, probe: false } };
    case "open":
      if (now < state.until) return refuse(state, state.until - now);
      return probe(halfOpen(state, now, rules), rules, now);
    case "half-open":
      if (now < state.deadline) return probe(state, rules, now);
      // Nobody heard of the probes: whatever they wait for, the stamp does not answer.
      return refuse(open(state, now, chance, rules), rules.openMs);
  }
}

/** Hands back a permit with what became of its request. */
export function settle(
  state: BreakerState,
  permit: Permit,
  outcome: Outcome,
  at: { readonly now: number; readonly chance: number },
  rules: BreakerRules,
): BreakerState {
  if (permit.generation !== state.generation) return state;
  switch (state.kind) {
    case "open":
      return state;
    case "closed":
      if (outcome === "abandoned") return state;
      if (outcome === "success") return state.failures === 0 && state.trips === 0 ? state : calm(state);
      if (state.failures + 1 < rules.failuresToOpen) return { ...state, failures: state.failures + 1 };
      return open(state, at.now, at.chance, rules);
    case "half-open": {
      if (!permit.probe || state.probes === 0) return state;
      if (outcome === "failure") return open(state, at.now, at.chance, rules);
      const probes = state.probes - 1;
      if (outcome === "abandoned") return { ...state, probes };
      const successes = state.successes + 1;
      if (successes < rules.successesToClose) return { ...state, probes, successes };
      // `trips` stays until a request of the closed breaker succeeds: a stamp that falls over at once waits longer.
      return { kind: "closed", generation: state.generation + 1, failures: 0, trips: state.trips };
    }
  }
}

function calm(state: Extract<BreakerState, { kind: "closed" }>): BreakerState {
  return { ...state, failures: 0, trips: 0 };
}

function halfOpen(state: BreakerState, now: number, rules: BreakerRules): Extract<BreakerState, { kind: "half-open" }> {
  const { generation, trips } = state;
  const deadline = now + rules.probeMs;
  return { kind: "half-open", generation: generation + 1, probes: 0, successes: 0, deadline, trips };
}

function open(state: BreakerState, now: number, chance: number, rules: BreakerRules): BreakerState {
  const full = Math.min(rules.longestOpenMs, rules.openMs * 2 ** Math.min(state.trips, 16));
  const until = now + full * (0.75 + chance / 4);
  return { kind: "open", generation: state.generation + 1, until, trips: state.trips + 1 };
}

function probe(state: Extract<BreakerState, { kind: "half-open" }>, rules: BreakerRules, now: number): Admission {
  if (state.probes >= rules.probes) return refuse(state, Math.min(rules.openMs, state.deadline - now));
  const permit = { generation: state.generation, probe: true };
  return { kind: "pass", next: { ...state, probes: state.probes + 1 }, permit };
}

function refuse(next: BreakerState, retryAfterMs: number): Admission {
  return { kind: "refuse", next, retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)) };
}
