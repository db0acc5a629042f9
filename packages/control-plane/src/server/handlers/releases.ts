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

/** With what the stamp has now, beside what it would have. */
async function diffForStamp(
  deps: ServerDeps,
  to: Release,
  name: string,
  asked: Digest | undefined,
): Promise<CallAnswer<"releaseDiff">> {
  const { store } = deps;
  const [row, fleet] = await Promise.all([store.stamps.read(name), requireFleet(store)]);
  if (row === undefined || row.value.origin === "adopted") {
    throw new StampyardError("STAMP_NOT_FOUND", `No stamp of ours is named ${quote(name)}`);
  }
  const stamp = row.value;
  const pool = poolOf(fleet.value.fleet, stamp);
  if (pool === undefined) {
    throw new StampyardError("POOL_NOT_FOUND", `The fleet has no pool ${stamp.pool} any more`);
  }
  const from = await requireRelease(store, asked ?? stamp.releaseDigest);
  const next = aimAt(deps, to, stamp, pool, fleet.value.fleet).to;
  const changes = diffReleases(
    { ...from, parameters: stamp.parameters, capacity: stamp.capacity },
    { ...to, parameters: next.parameters, capacity: next.capacity },
  );
  return { ...diffView(from, to, changes), stamp: name };
}

function diffView(from: Release, to: Release, changes: readonly ReleaseChange[]): CallAnswer<"releaseDiff"> {
  return {
    from: { digest: from.digest, version: from.version },
    to: { digest: to.digest, version: to.version },
    same: changes.length === 0,
    changes: changes.map(({ lines, ...change }) => ({ ...change, lines: [...lines] })),
  };
}
