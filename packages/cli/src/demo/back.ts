import { waitFor } from "../process/wait.ts";
import { isReady } from "../up/stamp-nodes.ts";
import type { Stage } from "./stage.ts";
import { readNoteIds } from "./traffic.ts";

/** In a row, so that one lucky answer in between does not count. */
const rounds = 3;

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
      for (let round = 0; round < rounds; round++) {
        for (const tenant of tenants)
          if ((await readNoteIds(stage.ports.router, tenant)) === undefined) return undefined;
      }
      return true;
    },
    { ...options, everyMs: 100 },
  );
  return back === true;
}
