import { type Sha256, type Stamp, type StampSpec, StampyardError } from "@stampyard/domain";
import { formatRouteKeys } from "@stampyard/guard";
import { renderStamp } from "@stampyard/manifest";
import type { Store } from "../store/port.ts";

/**
 * All that an engine needs for a stamp, its secrets opened. For one engine call only: never log it, never answer it.
 * @throws StampyardError RELEASE_NOT_FOUND or INVALID_MANIFEST
 */
export async function stampSpec(
  { store, sha256 }: { readonly store: Pick<Store, "fleet" | "stamps">; readonly sha256: Sha256 },
  stamp: Stamp,
): Promise<StampSpec> {
  const { name, pool, region, parameters } = stamp;
  const [release, secrets, keys] = await Promise.all([
    store.fleet.release(stamp.releaseDigest),
    store.stamps.secrets(name),
    store.stamps.routeKeys(name),
  ]);
  if (release === undefined) {
    throw new StampyardError(
      "RELEASE_NOT_FOUND",
      `Stamp ${name} is of release ${stamp.releaseDigest}, which is not kept`,
    );
  }
  return {
    rendered: renderStamp(release.template, { name, pool, region }, parameters, sha256),
    sourceDir: release.sourceDir,
    secrets,
    routeKeys: formatRouteKeys(keys),
  };
}
