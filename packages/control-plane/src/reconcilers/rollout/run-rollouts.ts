import { type FencingToken, type Instant, judgeGate, StampyardError } from "@stampyard/domain";
import { gatherEvidence } from "../../rollouts/evidence/gather-evidence.ts";
import type { ReconcileDeps, Turn } from "../turn.ts";
import { createTurns } from "../turns.ts";
import type { GateMemory } from "./ask-gate.ts";
import { reconcileRollout } from "./reconcile-rollout.ts";
import { type CandidateFinding, findCandidates } from "./find-candidates.ts";
import type { RolloutParts } from "./rollout-deps.ts";
import { createRolloutHooks } from "./rollout-hooks.ts";

/** A look reads every member: at most so often, however many stamps change. What people say is looked at at once. */
const everyMs = 250;
/** Of thousands of stamps it is a long one: looking takes at most this share of the time. */
const lookingShare = 0.2;
const longestPauseMs = 3_000;
/** What another process of ours committed tells no event of its own here. */
const resyncMs = 2_000;
const rolloutsAtATime = 4;

/** Brings rollouts over the fleet while this process leads. Ends with the signal, or throws STALE_LEADER. */
export async function runRollouts(
  deps: ReconcileDeps & CandidateFinding,
  token: FencingToken,
  signal: AbortSignal,
): Promise<void> {
  const lost = new AbortController();
  const ending = AbortSignal.any([signal, lost.signal]);
  const turn: Turn = { token, signal: ending };
  const { clock, log } = deps;
  const parts: RolloutParts = {
    judge: async (rollout, members, now) => {
      return judgeGate(rollout.strategy.gate, await gatherEvidence(deps, rollout, members, now));
    },
    candidates: (rollout, stamps, ctx) => findCandidates(deps, rollout, stamps, ctx),
  };
  const rolloutHooks = createRolloutHooks({ clock, log, signal: ending, wake: (id) => rollouts.wake(id) });
  const gateMemory: GateMemory = new Map();
  const writtenAt = new Map<string, Instant>();
  let spentMs = 0;
  const rollouts = createTurns({
    async turn(id) {
      const began = clock.now();
      try {
        return await reconcileRollout({ ...deps, ...parts, rolloutHooks, gateMemory, writtenAt }, id, turn);
      } finally {
        spentMs += Math.max(0, clock.now() - began);
      }
    },
    concurrency: rolloutsAtATime,
    clock,
    random: deps.random,
    signal: ending,
    onError: (rollout, caught) => {
      const error = StampyardError.from(caught);
      if (error.code === "STALE_LEADER") lost.abort(error);
      if (error.code === "RECOVERING") return;
      // The store's word on what may follow what is the last one; the next look is at what there is then.
      if (error.code === "WRONG_PHASE") return log.warn({ rollout, code: error.code }, error.message);
      log.error({ rollout, code: error.code, err: error }, "a turn of a rollout failed");
    },
  });
  let changed = true;
  let lookedAt = 0;
  const unwatch = deps.store.watch((event) => {
    if (event.kind === "rollout") rollouts.wake(event.rollout);
    if (watched.has(event.kind)) changed = true;
  });
  try {
    while (!ending.aborted) {
      if (changed || clock.now() - lookedAt >= resyncMs || clock.now() < lookedAt) {
        changed = false;
        lookedAt = clock.now();
        await lookAtAll(deps, rollouts.wake).catch((caught: unknown) => {
          changed = true;
          if (!ending.aborted) log.warn({ err: StampyardError.from(caught) }, "rollouts cannot be read");
        });
      }
      const pauseMs = Math.min(longestPauseMs, Math.max(everyMs, spentMs / lookingShare));
      spentMs = 0;
      await clock.sleep(pauseMs, ending).catch(() => {});
    }
  } finally {
    unwatch();
    await rollouts.idle();
  }
  if (lost.signal.aborted) throw lost.signal.reason;
}

const watched: ReadonlySet<string> = new Set(["rollout", "stamp", "freeze", "fleet", "move", "mode"]);

async function lookAtAll({ store }: Pick<ReconcileDeps, "store">, wake: (id: string) => void): Promise<void> {
  if ((await store.meta()).mode !== "normal") return;
  for (const id of await store.rollouts.open()) wake(id);
}
