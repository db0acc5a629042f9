import type { CallAnswer } from "@stampyard/api";
import { StampyardError } from "@stampyard/domain";
import type { Handlers } from "../call.ts";
import type { ServerDeps } from "../deps.ts";

type Names = "releaseDiff" | "releaseMatrix";

export function releaseHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  return {
    async releaseDiff(): Promise<CallAnswer<"releaseDiff">> {
      throw new StampyardError("INTERNAL", `Releases cannot be compared yet (${deps.version})`);
    },
    async releaseMatrix() {
      return { releases: [], stamps: [], alerts: [] };
    },
  };
}
