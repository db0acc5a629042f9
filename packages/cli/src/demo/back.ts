import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "../process/wait.ts";
import { isReady } from "../up/stamp-nodes.ts";
import type { Stage } from "./stage.ts";
import { readNoteIds } from "./traffic.ts";

/**
 * How long every answer must be good. Each worker of the router tries a stamp that was out again on its own, within a
 * second; one of them may know already while another does not.
 */
const steadyMs = 1_500;
const everyMs = 100;

/**
 * Back means: the control plane sees the stamp whole, and each of its tenants is answered again. What was seen just
 * before a kill may still be the last word for a moment, so the tenants' answers decide.
 */
export async function waitUntilBack(
  stage: Stage,
  stamp: string,
  tenants: readonly string[],
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const back = await waitFor(
    async () => {
      const seen = await stage.client.stampGet({ params: { name: stamp }, signal: options.signal });
      if (!isReady(seen)) return undefined;
      const steadyAt = performance.now() + steadyMs;
      while (performance.now() < steadyAt) {
        for (const tenant of tenants)
          if ((await readNoteIds(stage.ports.router, tenant)) === undefined) return undefined;
        await sleep(everyMs, undefined, { signal: options.signal });
      }
      return true;
    },
    { ...options, everyMs },
  );
  return back === true;
}
