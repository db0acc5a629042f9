import { randomUUID } from "node:crypto";
import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, listNoteIds } from "./traffic.ts";

/** What writers of one tenant saw while they wrote. */
export interface WritersReport {
  readonly acknowledged: number;
  /** Acknowledged writes that are there afterwards. */
  readonly found: number;
  /** Notes that are there more than once. */
  readonly twice: number;
  /** Writes that were answered otherwise first, and were sent again. */
  readonly sentAgain: number;
  /** Longest time in which no write was acknowledged, in milliseconds. */
  readonly pauseMs: number;
}

export interface Writers {
  /** Ends the writing, and reads everything back through the router. */
  finish(): Promise<WritersReport>;
}

const writers = 3;
/** A person's request is not repeated at once either, and the gap between two of a writer stays well below a pause. */
const restMs = 5;

/** Clients of one tenant that write one note after the other, and the same one again until it is acknowledged. */
export function startWriters(port: number, tenant: string): Writers {
  const ending = new AbortController();
  const agent = new Agent({ keepAlive: true, maxSockets: writers });
  const acknowledged = new Map<string, number>();
  const begunAt = performance.now();
  let sentAgain = 0;
  const write = async () => {
    let id: string = randomUUID();
    while (!ending.signal.aborted) {
      const body = JSON.stringify({ id, title: `Written while ${tenant} moves` });
      const { status } = await exchange({ agent, port, tenant, method: "POST", path: "/notes", body });
      if (status === 200 || status === 201) {
        acknowledged.set(id, performance.now());
        id = randomUUID();
      } else sentAgain++;
      await sleep(restMs, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  };
  const running = Array.from({ length: writers }, write);
  return {
    async finish() {
      ending.abort();
      await Promise.all(running);
      agent.destroy();
      const there = (await listNoteIds(port, tenant)) ?? [];
      const all = new Set(there);
      return {
        acknowledged: acknowledged.size,
        found: [...acknowledged.keys()].filter((id) => all.has(id)).length,
        twice: there.length - all.size,
        sentAgain,
        pauseMs: longestGap([begunAt, ...acknowledged.values()]),
      };
    },
  };
}

/** Of times in the order in which they came. */
export function longestGap(times: readonly number[]): number {
  let longest = 0;
  for (const [index, time] of times.entries()) longest = Math.max(longest, time - (times[index - 1] ?? time));
  return longest;
}
