import { type Sha256, type Stamp, StampyardError, type StampSpec } from "@stampyard/domain";
import { formatRouteKeys } from "@stampyard/guard";
import { renderStamp } from "@stampyard/manifest";
import type { Contents } from "../rollouts/content.ts";
import { placeFiles } from "../rollouts/place-files.ts";
import type { Store } from "../store/port.ts";

/**
 * What the engine needs to make a stamp: rendered again from its release, with opened secrets and its route keys.
 * Never log it and never answer with it (I33).
 * @throws StampyardError RELEASE_NOT_FOUND
 */
export async function readStampSpec(
  store: Pick<Store, "fleet" | "stamps">,
  stamp: Stamp,
  sha256: Sha256,
  contents?: Pick<Contents, "dirOf">,
): Promise<StampSpec> {
  const { name, pool, region } = stamp;
  if (stamp.origin === "adopted") {
    // With a fence its database knows its tenants, as that of a built stamp does; else it is not touched.
    const hasFence = stamp.adoption?.capabilities.fence === true;
    return adoptedSpec(stamp, hasFence ? await store.stamps.secrets(name) : {});
  }
  const release = await store.fleet.release(stamp.releaseDigest);
  if (release === undefined) {
    throw new StampyardError("RELEASE_NOT_FOUND", `No release ${stamp.releaseDigest}, which stamp ${name} is to run`);
  }
  const { content } = release;
  const rendered = renderStamp(release.template, { name, pool, region }, stamp.parameters, sha256, content);
  // A release from before files were kept runs from where it was applied.
  const sourceDir = content === undefined || contents === undefined ? release.sourceDir : contents.dirOf(content);
  const [secrets, keys] = await Promise.all([store.stamps.secrets(name), store.stamps.routeKeys(name)]);
  return {
    rendered: contents === undefined ? rendered : placeFiles(rendered, sourceDir, contents),
    sourceDir,
    secrets,
    // A stamp takes them all alike: in an order that a promotion does not change, it need not restart for one (D7).
    routeKeys: formatRouteKeys([...keys].sort((a, b) => (a.kid < b.kid ? -1 : 1))),
  };
}

/**
 * Nothing of an adopted stamp is rendered: it has no component that we may ask and no hook, so whatever is done for each of
 * them is done for none (decision D18).
 */
function adoptedSpec(
  { name, pool, region, capacity, stampDigest, releaseDigest }: Stamp,
  secrets: StampSpec["secrets"],
): StampSpec {
  return {
    rendered: {
      identity: { name, pool, region },
      template: "adopted",
      version: "0",
      releaseDigest,
      stampDigest,
      stages: [],
      ingress: { service: "adopted" },
      capacity,
      tenancy: { model: "rows", column: "tenant_id" },
      hooks: {},
    },
    sourceDir: "/",
    secrets,
    routeKeys: "",
  };
}
