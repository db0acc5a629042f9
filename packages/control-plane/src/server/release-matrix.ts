import type { ReleaseMatrixView } from "@stampyard/api";
import type { Digest, MemberPhase, Stamp } from "@stampyard/domain";
import { keptStamps } from "../rollouts/aims.ts";
import type { ObservedStamp, Pin, Release, Revisioned, Store } from "../store/port.ts";
import type { ServerDeps } from "./deps.ts";
import { time } from "./views.ts";

/** A stamp that is behind for longer wants somebody's eye (decision D20: 30 releases a day leave none so far behind). */
const mostBehindMs = 24 * 3_600_000;
/** So long after its row has changed it should run what that says, or its rollout has given it up. */
const mostDivergedMs = 10 * 60_000;
/** Older ones no stamp should run. */
const mostReleases = 1_000;

interface MatrixFacts {
  readonly now: number;
  readonly stamps: readonly Revisioned<Stamp>[];
  readonly observed: ReadonlyMap<string, ObservedStamp>;
  /** Newest first. */
  readonly releases: readonly Release[];
  /** What the fleet is to run: its own release, and those of rollouts that go on. */
  readonly wanted: ReadonlySet<Digest>;
  readonly current: Digest | undefined;
  readonly pins: ReadonlyMap<string, readonly Pin[]>;
  /** The rollout under way that a stamp waits in, or is updated by. */
  readonly rollouts: ReadonlyMap<string, string>;
}

export async function readMatrix({ store, clock }: Pick<ServerDeps, "store" | "clock">): Promise<ReleaseMatrixView> {
  const [rows, observed, fleet, open, pins, releases] = await Promise.all([
    store.stamps.all(),
    store.stamps.observations(),
    store.fleet.read(),
    readOpen(store),
    store.pins.byStamp(),
    store.fleet.releases({ limit: mostReleases }),
  ]);
  const kept = new Set(keptStamps(rows.map(({ value }) => value)));
  const stamps = rows.filter(({ value }) => kept.has(value));
  const current = fleet?.value.release;
  return matrixOf({
    now: clock.now(),
    stamps,
    observed,
    releases: releases.items,
    wanted: new Set([...(current === undefined ? [] : [current]), ...open.releases]),
    current,
    pins,
    rollouts: open.byStamp,
  });
}

const underWay: readonly MemberPhase[] = ["waiting", "updating", "returning"];

interface OpenRollouts {
  readonly byStamp: ReadonlyMap<string, string>;
  /** What they bring, but for those that go back. */
  readonly releases: readonly Digest[];
}

async function readOpen({ rollouts }: Pick<Store, "rollouts">): Promise<OpenRollouts> {
  const found = new Map<string, string>();
  const releases: Digest[] = [];
  for (const id of await rollouts.open()) {
    const [row, members] = await Promise.all([rollouts.read(id), rollouts.members(id)]);
    if (row !== undefined && row.value.state.kind !== "aborting") releases.push(row.value.release);
    for (const { stamp, state } of members) {
      if (row !== undefined && underWay.includes(state.kind) && !found.has(stamp)) found.set(stamp, id);
    }
  }
  return { byStamp: found, releases };
}

/** Which stamp runs which release, and what wants somebody's eye. Pure. */
export function matrixOf(facts: MatrixFacts): ReleaseMatrixView {
  const { stamps, releases, current, rollouts, pins } = facts;
  const versions = new Map(releases.map(({ digest, version }) => [digest, version]));
  const rows = stamps
    .map(({ value: stamp }) => {
      const version = versions.get(stamp.releaseDigest);
      const converged = convergedOf(facts, stamp);
      const rollout = rollouts.get(stamp.name);
      const [pin] = pins.get(stamp.name) ?? [];
      return {
        stamp: stamp.name,
        pool: stamp.pool,
        region: stamp.region,
        release: stamp.releaseDigest,
        ...(version === undefined ? {} : { version }),
        ...(converged === undefined ? {} : { converged }),
        behindMs: behindMs(facts, stamp),
        ...(rollout === undefined ? {} : { rollout }),
        ...(pin === undefined ? {} : { pinned: pinText(pin) }),
      };
    })
    .sort((a, b) => (a.pool + a.stamp < b.pool + b.stamp ? -1 : 1));
  const counts = new Map<Digest, number>();
  for (const { value } of stamps) counts.set(value.releaseDigest, (counts.get(value.releaseDigest) ?? 0) + 1);
  return {
    releases: releases
      .filter(({ digest }) => counts.has(digest) || facts.wanted.has(digest))
      .map(({ digest, version, createdAt }) => ({
        digest,
        version,
        createdAt: time(createdAt),
        current: digest === current,
        stamps: counts.get(digest) ?? 0,
      })),
    stamps: rows,
    alerts: stamps.flatMap(({ value, updatedAt }) => alertsOf(facts, value, updatedAt)),
  };
}

/** Its own, or one of a tenant that lives there. */
function pinText({ subject, until, reason }: Pin): string {
  return `${subject.kind === "tenant" ? `for tenant ${subject.name} ` : ""}until ${time(until)}: ${reason}`;
}

/** undefined = it cannot be looked at: unknown is not converged, and not diverged either. */
function convergedOf({ observed }: MatrixFacts, { name, stampDigest }: Stamp): boolean | undefined {
  const running = observed.get(name)?.observation.stampDigest;
  return running === undefined ? undefined : running === stampDigest;
}

/** Since when there is something newer that the fleet is to run. A release that was taken back counts for nothing. */
function behindMs({ now, releases, wanted }: MatrixFacts, { releaseDigest }: Stamp): number {
  const own = releases.findIndex(({ digest }) => digest === releaseDigest);
  const oldest = releases.slice(0, Math.max(0, own)).findLast(({ digest }) => wanted.has(digest));
  return oldest === undefined ? 0 : Math.max(0, now - oldest.createdAt);
}

function alertsOf(facts: MatrixFacts, stamp: Stamp, updatedAt: number): ReleaseMatrixView["alerts"] {
  const { now, pins, releases } = facts;
  const behind = behindMs(facts, stamp);
  const version = releases.find(({ digest }) => digest === stamp.releaseDigest)?.version ?? stamp.releaseDigest;
  const [pin] = pins.get(stamp.name) ?? [];
  const pinned = pin === undefined ? "" : `; pinned ${pinText(pin)}`;
  const hours = Math.floor(behind / 3_600_000);
  const alerts: ReleaseMatrixView["alerts"] = [];
  if (behind > mostBehindMs) {
    const text = `it runs release ${version}, and there has been a newer one for ${hours} h${pinned}`;
    alerts.push({ kind: "release-age", stamp: stamp.name, text, since: time(now - behind) });
  }
  const converged = convergedOf(facts, stamp);
  if (converged !== true && now - updatedAt > mostDivergedMs) {
    const what = converged === undefined ? "cannot be looked at, and should run" : "does not run what it should,";
    const why = stamp.waitingOn === undefined ? "" : `: ${stamp.waitingOn}`;
    const text = `it ${what} release ${version}${why}`;
    alerts.push({ kind: "not-converged", stamp: stamp.name, text, since: time(updatedAt) });
  }
  return alerts;
}
