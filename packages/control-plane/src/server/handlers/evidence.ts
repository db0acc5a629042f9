import { evidenceMs, reportEveryMs } from "../../rollouts/evidence/evidence-times.ts";
import type { Handlers } from "../call.ts";
import type { ServerDeps } from "../deps.ts";

export function evidenceHandlers({ store }: ServerDeps): Pick<Handlers, "feedCounts"> {
  return {
    /** Every control plane takes them, also one that stands by: they are a router's word, and nobody's decision. */
    async feedCounts({ body }) {
      const { router, life, number, countedAt, stamps, failing } = body;
      const watched = await store.evidence.report({ router, life, number, countedAt, stamps, failing });
      return { watched: [...watched], everyMs: reportEveryMs(evidenceMs(), watched.length > 0) };
    },
  };
}
