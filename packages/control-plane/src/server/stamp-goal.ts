import {
  type Capacity,
  type Digest,
  type FleetPlan,
  isSame,
  makeSecret,
  nextStamps,
  type Parameters,
  planFleet,
  type Pool,
  type Random,
  type RenderedStamp,
  secretNames,
  type Sha256,
  type Stamp,
  type StampIdentity,
  type Template,
} from "@stampyard/domain";
import { releaseDigest, renderStamp } from "@stampyard/manifest";
import type { ApplyFleetInput, FleetRecord, StampCreate } from "../store/port.ts";

/** What a stamp should be, worked out from release, pool and what is its own. Pure: secrets come from the given port. */

/** What one stamp of the pool may hold: the template's, lowered by the pool; a dedicated stamp has one tenant. */
export function stampCapacity(template: Pick<Template, "capacity">, pool: Pool): Capacity {
  const { tenants, units } = template.capacity;
  const limit = pool.tenancy === "dedicated" ? 1 : (pool.capacity?.tenants ?? tenants);
  const lowered = Object.entries(units).map(([unit, value]) => [
    unit,
    Math.min(value, pool.capacity?.units?.[unit] ?? value),
  ]);
  return { tenants: Math.min(tenants, limit), units: Object.fromEntries(lowered) };
}

/**
 * Parameters that one stamp was given on top of its pool's. They stay when the pool's change. Of a stamp from before they
 * were written down, what differs from its pool's.
 */
export function ownParameters(stamp: Pick<Stamp, "parameters" | "own">, pool: Pool | undefined): Parameters {
  if (stamp.own !== undefined) return stamp.own;
  return Object.fromEntries(
    Object.entries(stamp.parameters).filter(([name, value]) => pool?.parameters[name] !== value),
  );
}

/** What stamps are rendered from: the template, and the digest of the files that its commands run from. */
export interface ReleaseParts {
  readonly template: Template;
  /** Absent where it runs none of ours. */
  readonly content?: Digest;
}

interface Wanted {
  readonly identity: StampIdentity;
  readonly pool: Pool;
  readonly own: Parameters;
}

/** @throws StampyardError INVALID_MANIFEST naming wrong parameters */
function renderWanted(release: ReleaseParts, { identity, pool, own }: Wanted, sha256: Sha256): RenderedStamp {
  return renderStamp(release.template, identity, { ...pool.parameters, ...own }, sha256, release.content);
}

/** A new stamp in phase `requested`, with secrets of its own. @throws StampyardError INVALID_MANIFEST */
export function newStamp(release: ReleaseParts, wanted: Wanted, sha256: Sha256, random: Random): StampCreate {
  const rendered = renderWanted(release, wanted, sha256);
  const { name, pool, region } = wanted.identity;
  return {
    stamp: {
      name,
      pool,
      region,
      state: { kind: "requested" },
      goal: "present",
      origin: "built",
      releaseDigest: rendered.releaseDigest,
      stampDigest: rendered.stampDigest,
      parameters: { ...wanted.pool.parameters, ...wanted.own },
      own: wanted.own,
      capacity: stampCapacity(release.template, wanted.pool),
      endpoints: [],
      endpointRevision: 0,
    },
    secrets: Object.fromEntries(secretNames(rendered).map((secret) => [secret, makeSecret(random)])),
  };
}

export interface FleetFiles extends ReleaseParts {
  readonly fleet: FleetRecord["fleet"];
}

export interface FleetNow {
  readonly fleet: FleetRecord | undefined;
  readonly stamps: readonly Stamp[];
  /** Names of destroyed stamps that tenants still call home. @default none */
  readonly reservedNames?: readonly string[];
}

/** Difference between files and fleet. @throws StampyardError INVALID_MANIFEST when a stamp cannot be rendered */
export function planOf(now: FleetNow, files: FleetFiles, sha256: Sha256): FleetPlan {
  const digest = releaseDigest(files.template, sha256, files.content);
  return planFleet(
    {
      fleet: now.fleet?.fleet,
      release: now.fleet?.release,
      stamps: now.stamps,
      reservedNames: now.reservedNames ?? [],
    },
    {
      fleet: files.fleet,
      release: { digest, version: files.template.version },
      stampDigest: ({ name, pool, region }) => {
        const identity = { name, pool: pool.name, region };
        const own = ownOf(now, name);
        return renderWanted(files, { identity, pool, own }, sha256).stampDigest;
      },
    },
  );
}

/** Rows that make a plan so: new stamps, and every present stamp whose digest, parameters or capacity differ. */
export function rowsOf(
  now: FleetNow,
  files: FleetFiles,
  plan: FleetPlan,
  sha256: Sha256,
  random: Random,
): Pick<ApplyFleetInput, "stampCreates" | "stampUpdates"> {
  const poolNamed = (name: string) => files.fleet.pools.find((pool) => pool.name === name);
  const stampCreates = plan.changes.flatMap((change) => {
    const pool = change.kind === "stamp-create" ? poolNamed(change.pool) : undefined;
    if (change.kind !== "stamp-create" || pool === undefined) return [];
    const identity = { name: change.stamp, pool: change.pool, region: change.region };
    return [newStamp(files, { identity, pool, own: {} }, sha256, random)];
  });
  const stampUpdates = now.stamps.flatMap((stamp) => {
    const pool = poolNamed(stamp.pool);
    if (pool === undefined || stamp.goal === "absent" || stamp.origin === "adopted") return [];
    const identity = { name: stamp.name, pool: stamp.pool, region: stamp.region };
    // `addSecrets` semantics of the store: names that exist keep their value, so offering one for each is safe.
    const goal = newStamp(files, { identity, pool, own: ownOf(now, stamp.name) }, sha256, random);
    const { stampDigest, parameters, capacity } = goal.stamp;
    if (stampDigest === stamp.stampDigest && isSame(parameters, stamp.parameters) && isSame(capacity, stamp.capacity))
      return [];
    const update = { name: stamp.name, releaseDigest: goal.stamp.releaseDigest, stampDigest, parameters, capacity };
    return [{ ...update, secrets: goal.secrets }];
  });
  return { stampCreates, stampUpdates };
}

/** Name and region of one more stamp of a pool; what the caller named stays. */
export function oneMore(
  pool: Pool,
  stamps: readonly Stamp[],
  taken: ReadonlySet<string>,
  asked: { readonly name?: string | undefined; readonly region?: string | undefined },
): { readonly name: string; readonly region: string } {
  const present = stamps.filter(
    (stamp) => stamp.pool === pool.name && stamp.goal !== "absent" && stamp.origin === "built",
  ).length;
  const next = nextStamps(pool, present, taken, 1)[0] ?? { name: `${pool.name}-1`, region: "local" };
  return { name: asked.name ?? next.name, region: asked.region ?? next.region };
}

function ownOf(now: FleetNow, name: string): Parameters {
  const stamp = now.stamps.find((candidate) => candidate.name === name);
  if (stamp === undefined) return {};
  return ownParameters(
    stamp,
    now.fleet?.fleet.pools.find((pool) => pool.name === stamp.pool),
  );
}
