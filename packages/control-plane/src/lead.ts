import type { FencingToken, Random, Sha256 } from "@stampyard/domain";
import { runCampaigns } from "./reconcilers/campaign/run-campaigns.ts";
import { type HousekeepingDeps, runHousekeeping } from "./reconcilers/housekeeping.ts";
import type { MoveParts } from "./reconcilers/move/move-deps.ts";
import { runMoves } from "./reconcilers/move/run-moves.ts";
import { runLoads } from "./reconcilers/observe-load.ts";
import { runRollouts } from "./reconcilers/rollout/run-rollouts.ts";
import { runPools } from "./reconcilers/run-pools.ts";
import { runReconcilers } from "./reconcilers/run-reconcilers.ts";
import { runSequencer } from "./reconcilers/sequencer.ts";
import type { ReconcileDeps } from "./reconcilers/turn.ts";
import { runRecovery } from "./recovery/collect-homes.ts";
import { runEvidence } from "./rollouts/evidence/run-evidence.ts";
import { runWebhooks } from "./webhooks/run-webhooks.ts";

/** Everything that only the leader does, until the signal or the first failure; then all of it has ended. */
export async function lead(
  deps: ReconcileDeps &
    MoveParts &
    Pick<HousekeepingDeps, "contents"> & { readonly random: Random; readonly sha256: Sha256 },
  token: FencingToken,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const ending = AbortSignal.any([signal, failed.signal]);
  // What the last term knew of stamps may be from before another leader's time.
  deps.drift.clear();
  const loops = [
    runSequencer,
    runReconcilers,
    runMoves,
    runCampaigns,
    runRollouts,
    runPools,
    runLoads,
    runEvidence,
    runWebhooks,
    runRecovery,
    runHousekeeping,
  ];
  const ends = await Promise.allSettled(
    loops.map(async (loop) => {
      try {
        await loop(deps, token, ending);
      } catch (caught) {
        failed.abort(caught);
        throw caught;
      }
    }),
  );
  if (signal.aborted) return;
  const failure = ends.find((end) => end.status === "rejected");
  if (failure !== undefined) throw failure.reason;
}
