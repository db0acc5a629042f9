/** What the demo does to the fleet, one after the other. */
export type Phase = "steady" | "moving" | "control-plane-dead" | "control-plane-back" | "stamp-dead" | "after";

/** One request and what came of it. */
export interface Outcome {
  readonly tenant: string;
  /** Home of the tenant as the directory says. */
  readonly home: string;
  readonly begun: Phase;
  readonly ended: Phase;
  readonly ms: number;
  /** 0 when no answer came. */
  readonly status: number;
  /** Stamp that says it answered; undefined when the router answered by itself. */
  readonly servedBy: string | undefined;
  /** Reason code of a refusal, or of the failed connection. */
  readonly code: string | undefined;
}

export interface Count {
  requests: number;
  errors: number;
  /** Answered by a stamp that is not the tenant's home. */
  strays: number;
  slowestMs: number;
  /** Reason → how often. */
  reasons: Record<string, number>;
}

/** Counts per phase and tenant. */
export interface Tally {
  add(outcome: Outcome): void;
  of(phase: Phase, tenant: string): Readonly<Count>;
  /** Over all phases and tenants of one stamp. */
  ofStamp(stamp: string): Readonly<Count>;
  phases(): readonly Phase[];
  tenants(): ReadonlyMap<string, string>;
}

export function createTally(): Tally {
  const counts = new Map<string, Count>();
  const homes = new Map<string, string>();
  const seen = new Set<Phase>();
  const at = (phase: Phase, tenant: string) => {
    const key = `${phase} ${tenant}`;
    const count = counts.get(key) ?? emptyCount();
    counts.set(key, count);
    return count;
  };
  return {
    add(outcome) {
      const phase = phaseOf(outcome);
      homes.set(outcome.tenant, outcome.home);
      seen.add(phase);
      addTo(at(phase, outcome.tenant), outcome);
    },
    of: at,
    ofStamp(stamp) {
      const total = emptyCount();
      for (const [tenant, home] of homes) {
        if (home !== stamp) continue;
        for (const phase of seen) merge(total, at(phase, tenant));
      }
      return total;
    },
    phases: () => [...seen],
    tenants: () => homes,
  };
}

/**
 * A request under way when a stamp is killed, or when it comes back, belongs to that outage: it was touched by it. Else
 * it belongs to the phase in which it ended.
 */
export function phaseOf(outcome: Pick<Outcome, "begun" | "ended">): Phase {
  return outcome.begun === "stamp-dead" ? "stamp-dead" : outcome.ended;
}

export function emptyCount(): Count {
  return { requests: 0, errors: 0, strays: 0, slowestMs: 0, reasons: {} };
}

function addTo(count: Count, outcome: Outcome): void {
  count.requests++;
  count.slowestMs = Math.max(count.slowestMs, outcome.ms);
  if (outcome.servedBy !== undefined && outcome.servedBy !== outcome.home) count.strays++;
  if (outcome.status >= 200 && outcome.status < 400) return;
  count.errors++;
  const reason = outcome.code ?? String(outcome.status);
  count.reasons[reason] = (count.reasons[reason] ?? 0) + 1;
}

export function merge(into: Count, other: Readonly<Count>): void {
  into.requests += other.requests;
  into.errors += other.errors;
  into.strays += other.strays;
  into.slowestMs = Math.max(into.slowestMs, other.slowestMs);
  for (const [reason, times] of Object.entries(other.reasons)) {
    into.reasons[reason] = (into.reasons[reason] ?? 0) + times;
  }
}
