import {
  type Clock,
  hookKey,
  type Rollout,
  type RolloutHook,
  type RolloutHookPoint,
  type RolloutMember,
  type RolloutWorld,
  StampyardError,
} from "@stampyard/domain";
import { causeOf } from "../failure.ts";
import type { Log } from "../turn.ts";
import { callHook, type HookBody } from "./call-hook.ts";

export interface AskedPoint {
  readonly point: RolloutHookPoint;
  readonly wave: number;
}

export interface HookAnswers {
  /** As `Rollout.hooksDone` keeps them. */
  readonly done: readonly string[];
  readonly failures: NonNullable<RolloutWorld["hookFailures"]>;
  /** Of both. */
  readonly keys: readonly string[];
}

/**
 * Calls of hooks beside the turns, so that nothing waits for one and an abort least of all. In memory: what is forgotten
 * is asked again, with the same key.
 */
export interface RolloutHooks {
  /** Begins what is asked for and is not under way, and ends what is not asked for any more. Never waits. */
  ask(rollout: Rollout, members: readonly RolloutMember[], points: readonly AskedPoint[]): void;
  /** What came of them; said until `settle`. */
  answers(rollout: string): HookAnswers;
  /** The answers are written down: what failed may be asked again from now on. */
  settle(rollout: string, answers: HookAnswers): void;
  /** Ends all of a rollout's. */
  drop(rollout: string): void;
}

interface Asked {
  readonly hook: RolloutHook;
  readonly stop: AbortController;
  answer?: { readonly failed?: string };
}

export function createRolloutHooks(deps: {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called when there is an answer. */
  readonly wake: (rollout: string) => void;
}): RolloutHooks {
  const asked = new Map<string, Map<string, Asked>>();

  function begin(rollout: Rollout, hook: RolloutHook, key: string, body: HookBody): Asked {
    const stop = new AbortController();
    const call: Asked = { hook, stop };
    const signal = AbortSignal.any([deps.signal, stop.signal]);
    callHook(deps, hook, { key: `${rollout.id}/${key}`, body, signal }).then(
      () => {
        call.answer = {};
        deps.wake(rollout.id);
      },
      (caught: unknown) => {
        if (signal.aborted) return;
        const failed = causeOf(StampyardError.from(caught));
        deps.log.warn({ rollout: rollout.id, hook: hook.name, point: hook.point }, failed);
        call.answer = { failed };
        deps.wake(rollout.id);
      },
    );
    return call;
  }

  return {
    ask(rollout, members, points) {
      const wanted = new Map<string, () => Asked>();
      for (const { point, wave } of points) {
        for (const hook of rollout.strategy.hooks.filter((one) => one.point === point)) {
          const key = hookKey(point, wave, hook.name);
          if (rollout.hooksDone.includes(key)) continue;
          wanted.set(key, () => begin(rollout, hook, key, bodyOf(rollout, members, hook, wave)));
        }
      }
      const mine = asked.get(rollout.id) ?? new Map<string, Asked>();
      for (const [key, { stop }] of mine) {
        if (wanted.has(key)) continue;
        stop.abort();
        mine.delete(key);
      }
      for (const [key, start] of wanted) if (!mine.has(key)) mine.set(key, start());
      if (mine.size > 0) asked.set(rollout.id, mine);
      else asked.delete(rollout.id);
    },
    answers(rollout) {
      const mine = [...(asked.get(rollout) ?? [])];
      const done = mine.filter(([, { answer, hook }]) => {
        return answer !== undefined && (answer.failed === undefined || hook.onFailure === "ignore");
      });
      const failures = mine.flatMap(([, { hook, answer }]) => {
        if (answer?.failed === undefined || hook.onFailure === "ignore") return [];
        return [{ name: hook.name, verdict: hook.onFailure, cause: answer.failed }];
      });
      const keys = mine.filter(([, { answer }]) => answer !== undefined).map(([key]) => key);
      return { done: done.map(([key]) => key), failures, keys };
    },
    settle(rollout, { keys }) {
      for (const key of keys) asked.get(rollout)?.delete(key);
    },
    drop(rollout) {
      for (const { stop } of asked.get(rollout)?.values() ?? []) stop.abort();
      asked.delete(rollout);
    },
  };
}

function bodyOf(rollout: Rollout, members: readonly RolloutMember[], { point }: RolloutHook, wave: number): HookBody {
  const ofWave = point === "before-wave" || point === "after-wave";
  const mine = members.filter((member) => member.state.kind !== "skipped" && (!ofWave || member.wave === wave));
  const { state } = rollout;
  const cause = "cause" in state ? { cause: state.cause } : {};
  return {
    rollout: rollout.id,
    point,
    wave: { index: wave, name: rollout.waves[wave]?.name ?? "" },
    release: rollout.release,
    stamps: mine.map(({ stamp }) => stamp),
    ...cause,
  };
}
