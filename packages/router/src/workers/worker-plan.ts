/** Life of one of the N places for a worker. Pure: times are arguments, in milliseconds of a clock that never goes back. */
export type WorkerState =
  /** No process; one is started at `until`. */
  | { readonly kind: "waiting"; readonly until: number; readonly failures: number }
  /** Loads the table and does not listen yet. */
  | { readonly kind: "starting"; readonly since: number; readonly failures: number }
  | { readonly kind: "serving"; readonly since: number; readonly heardAt: number; readonly failures: number }
  /** SIGKILL is sent; its exit is awaited. */
  | { readonly kind: "killed"; readonly failures: number }
  /** Told to drain, and killed at `deadline`. */
  | { readonly kind: "draining"; readonly deadline: number }
  | { readonly kind: "ended" };

/** Where a place may go next. */
export const workerNext = {
  waiting: ["starting", "ended"],
  starting: ["serving", "killed", "draining", "waiting"],
  serving: ["killed", "draining", "waiting"],
  killed: ["waiting", "draining", "ended"],
  draining: ["ended"],
  ended: [],
} as const satisfies Record<WorkerState["kind"], readonly WorkerState["kind"][]>;

export interface WorkerLimits {
  /** Silence after which a worker is killed: it spins, is stopped, or waits for something that never comes (D17). */
  readonly silenceMs: number;
  /** Time to load the table and listen. */
  readonly startMs: number;
  /** Pause before the first restart, doubled up to the longest. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** One that served so long starts the pauses anew. */
  readonly steadyMs: number;
}

export const defaultWorkerLimits: WorkerLimits = Object.freeze({
  silenceMs: 2_000,
  startMs: 20_000,
  firstPauseMs: 50,
  longestPauseMs: 5_000,
  steadyMs: 10_000,
});

export interface WorkerPlan {
  readonly next: WorkerState;
  readonly action?: "start" | "kill";
  /** Why, for the log. */
  readonly reason?: string;
}

/** What is to be done about one place now. Same arguments, same answer. */
export function planWorker(state: WorkerState, now: number, limits: WorkerLimits): WorkerPlan {
  switch (state.kind) {
    case "waiting":
      if (now < state.until) return { next: state };
      return { next: { kind: "starting", since: now, failures: state.failures }, action: "start" };
    case "starting":
      if (now - state.since < limits.startMs) return { next: state };
      return kill(state.failures, `not ready after ${limits.startMs} ms`);
    case "serving":
      if (now - state.heardAt < limits.silenceMs) return { next: state };
      return kill(state.failures, `silent for ${Math.round(now - state.heardAt)} ms`);
    case "draining":
      // Asked again at every turn: a process that cannot be killed at once is killed as soon as it can be.
      return now < state.deadline ? { next: state } : { next: state, action: "kill", reason: "drain took too long" };
    case "killed":
    case "ended":
      return { next: state };
  }
}

/** Its process ended, whatever the reason. */
export function afterExit(state: WorkerState, now: number, limits: WorkerLimits): WorkerState {
  if (state.kind === "draining" || state.kind === "ended") return { kind: "ended" };
  if (state.kind === "waiting") return state;
  const steady = state.kind === "serving" && now - state.since >= limits.steadyMs;
  const failures = steady ? 0 : state.failures;
  const pause = Math.min(limits.longestPauseMs, limits.firstPauseMs * 2 ** Math.min(failures, 16));
  return { kind: "waiting", until: now + pause, failures: failures + 1 };
}

export function afterHeard(state: WorkerState, now: number): WorkerState {
  return state.kind === "serving" ? { ...state, heardAt: now } : state;
}

export function afterListening(state: WorkerState, now: number): WorkerState {
  if (state.kind !== "starting") return state;
  return { kind: "serving", since: now, heardAt: now, failures: state.failures };
}

/** @param hasProcess a place without one has nothing to drain */
export function afterDrain(state: WorkerState, deadline: number, hasProcess: boolean): WorkerState {
  if (!hasProcess || state.kind === "ended") return { kind: "ended" };
  return state.kind === "draining" ? state : { kind: "draining", deadline };
}

function kill(failures: number, reason: string): WorkerPlan {
  return { next: { kind: "killed", failures }, action: "kill", reason };
}

/**
 * A clock that stands still while this process was not running itself: after it was stopped, or the machine slept, it
 * would otherwise find every worker silent and kill them all.
 * @param mostStep longest time that one turn may count
 */
export function createPatientClock(now: () => number, mostStep: number): { turn(): number } {
  let last = now();
  let counted = 0;
  return {
    turn() {
      const at = now();
      counted += Math.min(Math.max(0, at - last), mostStep);
      last = at;
      return counted;
    },
  };
}
