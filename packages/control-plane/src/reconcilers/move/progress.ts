import type { MoveProgress, MoveReport } from "@stampyard/domain";
import type { MoveDeps } from "./move-deps.ts";
import type { MoveRow } from "./move-row.ts";

/** People watch it; nothing depends on it. */
const tellEveryMs = 200;
/** What is kept of it, for those who look later. */
const keepEveryMs = 3_000;

/** Tells where a move stands while one of its steps works, and now and then keeps what was copied. */
export function progressTeller(
  deps: Pick<MoveDeps, "events" | "clock">,
  row: MoveRow,
): (progress: MoveProgress) => void {
  const { id, tenant } = row.value;
  const began = deps.clock.now();
  let told = Number.NEGATIVE_INFINITY;
  let kept = began;
  return (progress) => {
    const now = deps.clock.now();
    if (now - told >= tellEveryMs) {
      told = now;
      deps.events.publish({ kind: "move-progress", move: id, tenant, progress: { ...progress } });
    }
    if (now - kept < keepEveryMs || progress.step !== "copy") return;
    kept = now;
    const report: Partial<MoveReport> = {
      copied: { rows: progress.rows, bytes: progress.bytes, ms: Math.round(now - began) },
    };
    // What cannot be kept now is kept by the next write; the step goes on.
    row.write({ report }).catch(() => {});
  };
}
