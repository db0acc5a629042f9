import type { ReleaseMatrixView } from "@stampyard/api";
import { quote, StampyardError } from "@stampyard/domain";
import { aimAt, poolOf } from "../../rollouts/aims.ts";
import { requireRelease } from "../../rollouts/apply-by-rollout.ts";
import { diffReleases, type DiffSide } from "../../rollouts/diff-releases.ts";
import type { Release } from "../../store/port.ts";
import type { Call, Handlers } from "../call.ts";
import type { ServerDeps } from "../deps.ts";
import { readMatrix } from "../release-matrix.ts";
import { requireFleet } from "./fleet.ts";

type Names = "releaseDiff" | "releaseMatrix";

export function releaseHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  return {
    async releaseDiff({ params, query }) {
      const to = await requireRelease(deps.store, params.digest);
      const { from, sides } = await sidesOf(deps, to, query);
      const changes = diffReleases(sides.from, sides.to).map((change) => ({ ...change, lines: [...change.lines] }));
      return {
        from: { digest: from.digest, version: from.version },
        to: { digest: to.digest, version: to.version },
        ...(query.stamp === undefined ? {} : { stamp: query.stamp }),
        same: changes.length === 0,
        changes,
      };
    },
    releaseMatrix: (): Promise<ReleaseMatrixView> => readMatrix(deps),
  };
}

interface Sides {
  readonly from: Release;
  readonly sides: { readonly from: DiffSide; readonly to: DiffSide };
}

/** @throws StampyardError STAMP_NOT_FOUND; RELEASE_NOT_FOUND; INVALID_MANIFEST for parameters that the release does not take */
async function sidesOf(
  deps: ServerDeps,
  to: Release,
  { from, stamp: name }: Call<"releaseDiff">["query"],
): Promise<Sides> {
  const { value: record } = await requireFleet(deps.store);
  if (name === undefined) {
    const before = await requireRelease(deps.store, from ?? record.release);
    return { from: before, sides: { from: before, to } };
  }
  const row = await deps.store.stamps.read(name);
  if (row === undefined) {
    throw new StampyardError("STAMP_NOT_FOUND", `No stamp ${quote(name)}`, { mend: "See stampyard stamp list." });
  }
  const stamp = row.value;
  const before = await requireRelease(deps.store, from ?? stamp.releaseDigest);
  const goal = (await deps.store.fleet.goals()).find(({ release }) => release === to.digest);
  const pool = poolOf(goal?.fleet, stamp) ?? poolOf(record.fleet, stamp);
  if (pool === undefined) return { from: before, sides: { from: before, to } };
  const { parameters, capacity } = aimAt(deps, to, stamp, pool, record.fleet).to;
  const own = { parameters: stamp.parameters, capacity: stamp.capacity };
  return { from: before, sides: { from: { ...before, ...own }, to: { ...to, parameters, capacity } } };
}
