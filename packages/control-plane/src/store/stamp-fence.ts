import type { Adoption, Stamp } from "@stampyard/domain";
import type { Revisioned, WriteContext } from "./records.ts";
import { lockStamp } from "./stamp-rows.ts";
import type { Sealer } from "./stamp-secrets.ts";
import { saveStamp } from "./stamp-write.ts";
import { audit, requireNormal, write } from "./write.ts";

/** What is done to the fence of a stamp by hand; `isDone` = it is installed as the mode says. */
export interface FenceStep {
  readonly mode: "off" | "report" | "enforce";
  readonly isDone: boolean;
}

/** The intent before (I26, I39), and afterwards what an adopted stamp can do now. @throws StampyardError STAMP_NOT_FOUND */
export function recordFence(
  base: Sealer,
  name: string,
  { mode, isDone }: FenceStep,
  ctx: WriteContext,
): Promise<Revisioned<Stamp>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockStamp(w, name);
    await audit(w, "stamp.fence", `stamp/${name}`, { mode, step: isDone ? "done" : "begun" });
    const { adoption } = old.value;
    const fence = mode === "enforce";
    if (!isDone || adoption === undefined || adoption.capabilities.fence === fence) return old;
    const next: Adoption = { ...adoption, capabilities: { ...adoption.capabilities, fence } };
    return await saveStamp(w, { ...old.value, adoption: next });
  });
}
