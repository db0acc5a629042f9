import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  afterDrain,
  afterExit,
  afterHeard,
  afterListening,
  createPatientClock,
  defaultWorkerLimits as limits,
  planWorker,
  type WorkerState,
  workerNext,
} from "./worker-plan.ts";

const serving: WorkerState = { kind: "serving", since: 0, heardAt: 0, failures: 0 };

describe("planWorker()", () => {
  test("kills after two seconds of silence, and not before", () => {
    expect(planWorker(serving, 1_999, limits)).toEqual({ next: serving });
    expect(planWorker(serving, 2_000, limits)).toMatchObject({ action: "kill", next: { kind: "killed" } });
    expect(planWorker(afterHeard(serving, 1_500), 2_000, limits).action).toBeUndefined();
  });

  test("gives one that starts more time, because it loads a table", () => {
    const starting: WorkerState = { kind: "starting", since: 0, failures: 0 };
    expect(planWorker(starting, limits.startMs - 1, limits).action).toBeUndefined();
    expect(planWorker(starting, limits.startMs, limits).action).toBe("kill");
  });

  test("restarts soon after the first failure, later after each more, and soon again after a steady time", () => {
    const pauses: number[] = [];
    let state: WorkerState = serving;
    for (let n = 0; n < 10; n++) {
      state = afterExit(state, 0, limits);
      if (state.kind !== "waiting") throw new Error("It should wait");
      pauses.push(state.until);
      state = planWorker(state, state.until, limits).next;
    }
    expect(pauses).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
    const steady: WorkerState = { kind: "serving", since: 0, heardAt: 10_000, failures: 9 };
    expect(afterExit(steady, 10_000, limits)).toMatchObject({ until: 10_050 });
  });

  test("a drain ends in time, whatever the worker does", () => {
    const draining = afterDrain(serving, 500, true);
    expect(planWorker(draining, 499, limits).action).toBeUndefined();
    expect(planWorker(draining, 500, limits).action).toBe("kill");
    expect(afterExit(draining, 500, limits)).toEqual({ kind: "ended" });
    expect(afterDrain({ kind: "waiting", until: 9, failures: 1 }, 500, false)).toEqual({ kind: "ended" });
  });

  test("over any history only allowed steps, one process per place, and none that is silent for longer than the limit", () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant("turn" as const), ms: fc.integer({ min: 0, max: 3_000 }) }),
      fc.constantFrom(
        { kind: "exit" as const },
        { kind: "heard" as const },
        { kind: "listening" as const },
        { kind: "drain" as const },
      ),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), (events) => {
        let state: WorkerState = { kind: "waiting", until: 0, failures: 0 };
        let alive = false;
        let now = 0;
        const go = (next: WorkerState) => {
          if (next.kind !== state.kind) expect(workerNext[state.kind]).toContain(next.kind);
          state = next;
        };
        for (const one of events) {
          if (one.kind === "turn") {
            now += one.ms;
            const { next, action } = planWorker(state, now, limits);
            if (action === "start") {
              expect(alive).toBe(false);
              alive = true;
            }
            if (action === "kill") expect(alive).toBe(true);
            go(next);
            if (next.kind === "serving") expect(now - next.heardAt).toBeLessThan(limits.silenceMs);
          } else if (one.kind === "exit" && alive) {
            alive = false;
            go(afterExit(state, now, limits));
          } else if (one.kind === "heard" && alive) go(afterHeard(state, now));
          else if (one.kind === "listening" && alive) go(afterListening(state, now));
          else if (one.kind === "drain") go(afterDrain(state, now + 500, alive));
        }
      }),
    );
  });
});

test("a patient clock does not count the time that this process was stopped itself", () => {
  let real = 0;
  const clock = createPatientClock(() => real, 300);
  real += 100;
  expect(clock.turn()).toBe(100);
  real += 60_000;
  expect(clock.turn()).toBe(400);
});
