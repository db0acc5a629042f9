import type { Instant, Stamp, StampSpec } from "@stampyard/domain";
import type { ReconcileDeps, Turn } from "../reconcilers/turn.ts";
import { declaresFence } from "./ensure-fence.ts";

/** What each stamp's fence was last brought in line with. In memory: forgetting it costs one look. */
export type FenceMemory = Map<string, Stamp["stampDigest"]>;

/** What reconcilers need to keep the fence where it is declared. */
export interface FenceKeeping {
  /** See fence/ensure-fence.ts. */
  readonly ensureFence: (stamp: Stamp, spec: StampSpec, turn: Turn) => Promise<void>;
  readonly fences: FenceMemory;
}

/**
 * Brings a whole stamp's fence in line once per release: migrations may have added tables. It is looked at with every
 * verification, and for a stamp that serves when its digest changed or a new leader has not looked yet.
 * @returns until when to wait where the last try failed, or undefined when the fence is as declared
 * @throws StampyardError as `ensureFence`; the caller records the setback
 */
export async function keepFence(
  deps: Pick<ReconcileDeps, "specOf" | "clock"> & FenceKeeping,
  stamp: Stamp,
  turn: Turn,
): Promise<Instant | undefined> {
  const { name, state, stampDigest } = stamp;
  if (deps.fences.get(name) === stampDigest) return undefined;
  const setback = "setback" in state ? state.setback : undefined;
  if (setback?.stampDigest === stampDigest && deps.clock.now() < setback.retryAt) return setback.retryAt;
  const spec = await deps.specOf(stamp);
  if (declaresFence(spec)) await deps.ensureFence(stamp, spec, turn);
  deps.fences.set(name, stampDigest);
  return undefined;
}
