import { type Clock, type Instant, type SignalResult, signalsFreshMs } from "@stampyard/domain";
import type { EvidenceMemory } from "./evidence-memory.ts";

/** A probe is asked this often; the second time after a failure sooner, since one failure says little. */
const everyMs = 5_000;
const againMs = 1_000;

export interface Question {
  /** Names rollout, stamp and question. */
  readonly key: string;
  readonly name: string;
  readonly now: Instant;
  /** Must not reject. */
  readonly ask: () => Promise<SignalResult>;
}

/**
 * The last answer to a question that is asked over and over beside everything else: nobody waits for it. An answer that
 * is old is none.
 */
export function askRepeatedly(memory: EvidenceMemory, clock: Pick<Clock, "now">, question: Question): SignalResult {
  const { key, name, now, ask } = question;
  let known = memory.answers.get(key);
  if (known === undefined) {
    known = {
      at: 0,
      result: { name, ok: undefined, text: "not asked yet" },
      failedInARow: 0,
      isAsking: false,
      askedAt: 0,
    };
    memory.answers.set(key, known);
  }
  const answered = known;
  const pauseMs = answered.failedInARow === 1 ? againMs : Math.min(everyMs, memory.spanMs);
  if (!answered.isAsking && now - answered.askedAt >= pauseMs) {
    answered.isAsking = true;
    answered.askedAt = now;
    void ask().then((result) => {
      answered.isAsking = false;
      answered.at = clock.now();
      answered.failedInARow = result.ok === false ? answered.failedInARow + 1 : 0;
      const isOnce = result.ok === false && answered.failedInARow < 2;
      answered.result = isOnce ? { ...result, ok: undefined, text: `${result.text}; asked again` } : result;
    });
  }
  if (answered.at === 0) return answered.result;
  const oldMs = now - answered.at;
  if (oldMs <= signalsFreshMs) return answered.result;
  return { name, ok: undefined, text: `no answer for ${Math.round(oldMs / 1_000)} s` };
}
