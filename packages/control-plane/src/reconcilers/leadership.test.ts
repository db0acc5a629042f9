import { StampyardError } from "@stampyard/domain";
import { createManualClock, type ManualClock } from "@stampyard/testing";
import { describe, expect, test } from "vitest";
import type { LeaseStore } from "../store/port.ts";
import { runLeadership } from "./leadership.ts";

/** The lease as PostgreSQL keeps it, without PostgreSQL; the store's own tests check the real one. */
function createLease(clock: ManualClock) {
  let row = { holder: "", token: 0, expiresAt: 0 };
  const state = { isDown: false };
  const reach = () => {
    if (state.isDown) throw new StampyardError("TIMEOUT", "The store does not answer");
  };
  const store: LeaseStore = {
    async acquire(holder, ttlMs) {
      reach();
      if (row.expiresAt > clock.now() && row.holder !== holder) return undefined;
      row = { holder, token: row.token + 1, expiresAt: clock.now() + ttlMs };
      return row;
    },
    async renew(holder, token, ttlMs) {
      reach();
      if (row.holder !== holder || row.token !== token) throw new StampyardError("STALE_LEADER", "Lost");
      row = { ...row, expiresAt: clock.now() + ttlMs };
      return row;
    },
    async release(holder, token) {
      reach();
      if (row.holder === holder && row.token === token) row = { ...row, expiresAt: 0, token: token + 1 };
    },
    async current() {
      return row.expiresAt > clock.now() ? row : undefined;
    },
  };
  return { store, state, expiresAt: () => row.expiresAt };
}

function start(clock: ManualClock, lease: LeaseStore, holder: string) {
  const stop = new AbortController();
  const terms: { token: number; signal: AbortSignal }[] = [];
  const log = { info() {}, warn() {}, error() {} };
  const leadership = runLeadership({
    store: { lease },
    clock,
    holder,
    log,
    signal: stop.signal,
    async lead(token, signal) {
      terms.push({ token, signal });
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    },
  });
  return { leadership, terms, stop };
}

describe("runLeadership()", () => {
  test("one leads, the other stands by and takes over with a higher token", async () => {
    const clock = createManualClock();
    const { store } = createLease(clock);
    const a = start(clock, store, "a");
    await clock.advance(10);
    const b = start(clock, store, "b");
    await clock.advance(20_000);
    expect(a.terms).toHaveLength(1);
    expect(b.terms).toHaveLength(0);
    expect(a.leadership.token()).toBe(1);
    expect(b.leadership.token()).toBeUndefined();

    a.stop.abort();
    await clock.advance(1_000);
    await a.leadership.ended;
    expect(b.terms[0]?.token).toBeGreaterThan(1);
    b.stop.abort();
    await clock.advance(1_000);
    await b.leadership.ended;
  });

  test("a leader cut off from the store stops before another one may start (I28)", async () => {
    const clock = createManualClock();
    const { store, state, expiresAt } = createLease(clock);
    const a = start(clock, store, "a");
    await clock.advance(2_500);
    const term = a.terms[0];
    let stoppedAt = 0;
    term?.signal.addEventListener("abort", () => {
      stoppedAt = clock.now();
    });
    state.isDown = true;
    await clock.advance(10_000);
    expect(stoppedAt).toBeGreaterThan(0);
    expect(stoppedAt).toBeLessThan(expiresAt());
    expect(a.leadership.token()).toBeUndefined();
    state.isDown = false;
    await clock.advance(2_000);
    expect(a.terms).toHaveLength(2);
    expect(a.terms[1]?.token).toBeGreaterThan(term?.token ?? 0);
    a.stop.abort();
    await clock.advance(1_000);
    await a.leadership.ended;
  });
});
