import type { Instant, SignalResult } from "@stampyard/domain";
import type { Store } from "../../store/port.ts";
import { createSpanCounter, type SpanCounter } from "./count-spans.ts";
import { evidenceMs } from "./evidence-times.ts";
import type { History } from "./read-history.ts";
import type { SyntheticMemory } from "./synthetic.ts";
import type { Presence } from "./verify-tenant.ts";

/** What one process that leads knows beside what the store keeps. Forgetting it costs time, and never a false verdict. */
export interface EvidenceMemory {
  readonly spanMs: number;
  readonly counter: SpanCounter;
  /** Stamps under watch. */
  watched: ReadonlySet<string>;
  watchedUntil: Instant;
  readonly members: Map<string, MemberMemory>;
  /** Answers of probes and queries, by rollout, stamp and name. */
  readonly answers: Map<string, Answered>;
  /** Buckets, and the siblings that were chosen, by rollout. */
  readonly histories: Map<string, History>;
  readonly siblings: Map<string, readonly string[]>;
  /** Stamps that our tenant is in, or on its way into or out of. */
  readonly presences: Map<string, Presence>;
  readonly synthetic: SyntheticMemory;
  /** Live routers of which it was said that they tell nothing. */
  readonly silent: Set<string>;
  prunedAt: Instant;
}

/** Of a member of an open rollout. */
export interface MemberMemory {
  /** When the observation that is in here was made. */
  at: Instant;
  /** Restarts by component and replica, as they were seen last. */
  seen: ReadonlyMap<string, number>;
  /** Restarts that were seen since it was told to change. */
  readonly restarts: Map<string, number>;
  /** When its present update began; undefined = it has not. */
  begunAt: Instant | undefined;
  sickSince: Instant | undefined;
  lagAskedAt: Instant;
  lag: { readonly at: Instant; readonly now: number } | undefined;
  /** The last before its update began; else the first after. */
  lagBefore: number | undefined;
}

export interface Answered {
  /** When the last answer came; 0 = none did yet. */
  at: Instant;
  result: SignalResult;
  failedInARow: number;
  isAsking: boolean;
  askedAt: Instant;
}

const memories = new WeakMap<Store, EvidenceMemory>();

export function memoryOf(store: Store): EvidenceMemory {
  const known = memories.get(store);
  return known ?? forget(store);
}

/** Begins a term: what another process saw meanwhile is not in here. */
export function forget(store: Store): EvidenceMemory {
  const spanMs = evidenceMs();
  const memory: EvidenceMemory = {
    spanMs,
    counter: createSpanCounter(spanMs),
    watched: new Set(),
    watchedUntil: 0,
    members: new Map(),
    answers: new Map(),
    histories: new Map(),
    siblings: new Map(),
    presences: new Map(),
    synthetic: { rates: new Map(), plannedAt: 0, sentAt: 0, due: new Map(), turn: 0, paths: new Map() },
    silent: new Set(),
    prunedAt: 0,
  };
  memories.set(store, memory);
  return memory;
}
