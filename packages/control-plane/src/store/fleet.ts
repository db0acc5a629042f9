import {
  canonicalJson,
  type Capacity,
  type Fleet,
  isServing,
  type Json,
  publishedRouting,
  rulesOf,
  StampyardError,
} from "@stampyard/domain";
import { insertGoal, openGoals, readGoal } from "./fleet-goals.ts";
import type { AppliedFleet, ApplyFleetInput, FleetStore } from "./port.ts";
import type { FleetRecord, PoolUse, Release, ReleaseInput, Revisioned, UsedPlaces, WriteContext } from "./records.ts";
import { lockRollouts } from "./rollout-rows.ts";
import { recordRollout } from "./rollout-start.ts";
import { keepRules, publishRouting, readRules, routingNow, settleStamps } from "./routing-rules.ts";
import { insertStamp, stampColumns, stampNotFound, type StampRow, toStamp } from "./stamp-rows.ts";
import { type Sealer, sealMissing, sealNewStamp } from "./stamp-secrets.ts";
import { usedPlaces } from "./used-places.ts";
import { audit, numericCursor, pageLimit, pageOf, requireNormal, staleRevision, type Write, write } from "./write.ts";

interface FleetRow extends Record<string, unknown> {
  fleet: Fleet;
  release_digest: FleetRecord["release"];
  revision: number;
  created_at: number;
  updated_at: number;
}

interface ReleaseRow extends Record<string, unknown> {
  id: number;
  digest: Release["digest"];
  version: string;
  template: Release["template"];
  source: string;
  source_dir: string;
  content: NonNullable<Release["content"]> | null;
  notes: string | null;
  created_by: string;
  created_at: number;
}

const fleetColumns = "fleet, release_digest, revision, created_at, updated_at";
const releaseColumns = "id, digest, version, template, source, source_dir, content, notes, created_by, created_at";

export function fleetStore(base: Sealer): FleetStore {
  const { db } = base;
  return {
    async read() {
      const { rows } = await db.query<FleetRow>(`SELECT ${fleetColumns} FROM fleet`);
      return rows[0] === undefined ? undefined : toFleet(rows[0]);
    },
    apply: (input, ctx) => applyFleet(base, input, ctx),
    keepRelease: (input, ctx) => keepRelease(base, input, ctx),
    goal: (revision) => readGoal(db, revision),
    goals: () => openGoals(db),
    async release(digest) {
      const { rows } = await db.query<ReleaseRow>(`SELECT ${releaseColumns} FROM releases WHERE digest = $1`, [digest]);
      return rows[0] === undefined ? undefined : toRelease(rows[0]);
    },
    async releases(page = {}) {
      const limit = pageLimit(page.limit);
      const { rows } = await db.query<ReleaseRow>(
        `SELECT ${releaseColumns} FROM releases WHERE id < $1 ORDER BY id DESC LIMIT $2`,
        [numericCursor(page.cursor) ?? Number.MAX_SAFE_INTEGER, limit + 1],
      );
      const { items, nextCursor } = pageOf(rows, limit, (row) => String(row.id));
      return { items: items.map(toRelease), ...(nextCursor === undefined ? {} : { nextCursor }) };
    },
    pools: () => pools(base),
    rules: (digests) => readRules(db, digests),
    async routing() {
      const { rows } = await db.query<FleetRow>(`SELECT ${fleetColumns} FROM fleet`);
      return rows[0] === undefined ? undefined : await routingNow(db, rows[0].fleet);
    },
  };
}

function applyFleet(base: Sealer, input: ApplyFleetInput, ctx: WriteContext): Promise<AppliedFleet> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    if (input.byRollout !== undefined) await lockRollouts(w);
    await insertRelease(w, input.release);
    const old = await lockFleet(w, input);
    const row = await putFleet(w, input, old);
    await keepRules(w, [input.fleet.routing]);
    for (const { stamp, secrets } of input.stampCreates) {
      await insertStamp(w, stamp);
      await sealNewStamp(w, base.masters, stamp.name, secrets);
      w.tell({ kind: "stamp", stamp: stamp.name, phase: stamp.state.kind });
    }
    for (const update of input.stampUpdates) await updateStamp(base, w, update);
    const begun = await startByApply(base, w, input, row.revision);
    const auditId = await audit(w, "fleet.apply", "fleet", {
      fleet: input.fleet.name,
      release: input.release.digest,
      version: input.release.version,
      stampCreates: input.stampCreates.map((create) => create.stamp.name),
      stampUpdates: input.stampUpdates.map((update) => update.name),
      ...(begun === undefined ? {} : { rollout: { id: begun.started.value.id, ...begun.detail } }),
    });
    if (old === undefined || text(publishedRouting(old.fleet)) !== text(publishedRouting(input.fleet))) {
      // Other rules without a rollout are for everybody: there is nobody in service whom they could harm.
      const isRuled = old !== undefined && text(rulesOf(old.fleet.routing)) !== text(rulesOf(input.fleet.routing));
      if (isRuled) await settleStamps(w, input.fleet, true);
      await publishRouting(w, auditId);
    }
    w.tell({ kind: "fleet" });
    return { ...toFleet(row), ...(begun === undefined ? {} : { rollout: begun.started }) };
  });
}

async function keepRelease(base: Sealer, input: ReleaseInput, ctx: WriteContext): Promise<void> {
  const { rows } = await base.db.query("SELECT FROM releases WHERE digest = $1", [input.digest]);
  if (rows.length > 0) return;
  await write(base, ctx, async (w) => {
    requireNormal(w);
    await insertRelease(w, input);
    await audit(w, "release.keep", `release/${input.digest}`, { version: input.version, notes: input.notes ?? "" });
  });
}

/** What a rollout is to bring does not count yet: the release in force stays. */
async function putFleet(w: Write, input: ApplyFleetInput, old: FleetRow | undefined): Promise<FleetRow> {
  const { fleet, release, byRollout, expectedRevision } = input;
  if (byRollout !== undefined && old === undefined) {
    throw new StampyardError("INVALID_REQUEST", "A fleet that is not there yet has nothing to roll out to");
  }
  const { rows } = await w.query<FleetRow>(
    old === undefined
      ? `INSERT INTO fleet (fleet, release_digest, revision) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING RETURNING ${fleetColumns}`
      : `UPDATE fleet SET fleet = $1, release_digest = $2, revision = revision + 1, updated_at = clock_timestamp()
         RETURNING ${fleetColumns}`,
    [JSON.stringify(fleet), byRollout === undefined || old === undefined ? release.digest : old.release_digest],
  );
  const [row] = rows;
  if (row === undefined) throw staleRevision("The fleet", expectedRevision, 1);
  return row;
}

async function startByApply(base: Sealer, w: Write, { byRollout, release }: ApplyFleetInput, revision: number) {
  if (byRollout === undefined) return undefined;
  await keepRules(w, [byRollout.fleet.routing]);
  await insertGoal(w, { revision, fleet: byRollout.fleet, release: release.digest });
  return recordRollout(base, w, { ...byRollout.rollout, fleetRevision: revision });
}

async function lockFleet(w: Write, { fleet, expectedRevision }: ApplyFleetInput): Promise<FleetRow | undefined> {
  const { rows } = await w.query<FleetRow>(`SELECT ${fleetColumns} FROM fleet FOR UPDATE`);
  const [row] = rows;
  if ((row?.revision ?? 0) !== expectedRevision) throw staleRevision("The fleet", expectedRevision, row?.revision ?? 0);
  if (row !== undefined && row.fleet.name !== fleet.name) {
    throw new StampyardError("INVALID_REQUEST", `This control plane keeps fleet ${row.fleet.name}, not ${fleet.name}`, {
      mend: "One control plane is one fleet: use another state directory for another fleet.",
    });
  }
  return row;
}

async function insertRelease(w: Write, release: ReleaseInput): Promise<void> {
  await w.query(
    `INSERT INTO releases (digest, version, template, source, source_dir, content, notes, created_by)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (digest) DO UPDATE SET source_dir = excluded.source_dir`, // its place on disk is not part of it
    [
      release.digest,
      release.version,
      JSON.stringify(release.template),
      release.source,
      release.sourceDir,
      release.content ?? null,
      release.notes ?? null,
      w.ctx.actor,
    ],
  );
}

async function updateStamp(base: Sealer, w: Write, update: ApplyFleetInput["stampUpdates"][number]): Promise<void> {
  const { rows } = await w.query<StampRow>(
    `UPDATE stamps SET release_digest = $2, stamp_digest = $3, parameters = $4, capacity = $5,
       revision = revision + 1, updated_at = clock_timestamp()
     WHERE name = $1 RETURNING ${stampColumns}`,
    [
      update.name,
      update.releaseDigest,
      update.stampDigest,
      JSON.stringify(update.parameters),
      JSON.stringify(update.capacity),
    ],
  );
  const [row] = rows;
  if (row === undefined) throw stampNotFound(update.name);
  if (update.secrets !== undefined) await sealMissing(w, base.masters, update.name, update.secrets);
  w.tell({ kind: "stamp", stamp: update.name, phase: row.state.kind });
}

async function pools({ db }: Sealer): Promise<readonly PoolUse[]> {
  const fleet = await db.query<FleetRow>(`SELECT ${fleetColumns} FROM fleet`);
  const { rows } = await db.query<StampRow>(`SELECT ${stampColumns} FROM stamps WHERE goal <> 'absent' ORDER BY name`);
  const used = await usedPlaces(db);
  const stamps = rows.map((row) => toStamp(row).value);
  const names = new Set([
    ...(fleet.rows[0]?.fleet.pools ?? []).map((pool) => pool.name),
    ...stamps.map((stamp) => stamp.pool),
  ]);
  return [...names].map((pool) => {
    const mine = stamps.filter((stamp) => stamp.pool === pool);
    const phases: Record<string, number> = {};
    for (const { state } of mine) phases[state.kind] = (phases[state.kind] ?? 0) + 1;
    const active = mine.filter((stamp) => isServing(stamp.state.kind));
    return {
      pool,
      stamps: phases,
      used: sum(mine.map((stamp) => used.get(stamp.name) ?? { tenants: 0, units: {} })),
      capacity: sum(active.map((stamp) => stamp.capacity)) as Capacity,
    };
  });
}

function sum(parts: readonly UsedPlaces[]): UsedPlaces {
  const units: Record<string, number> = {};
  let tenants = 0;
  for (const part of parts) {
    tenants += part.tenants;
    for (const [unit, value] of Object.entries(part.units)) units[unit] = (units[unit] ?? 0) + value;
  }
  return { tenants, units };
}

function text(value: unknown): string {
  return canonicalJson(value as Json);
}

function toFleet(row: FleetRow): Revisioned<FleetRecord> {
  return {
    value: { fleet: row.fleet, release: row.release_digest },
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function toRelease(row: ReleaseRow): Release {
  return {
    digest: row.digest,
    version: row.version,
    template: row.template,
    source: row.source,
    sourceDir: row.source_dir,
    ...(row.content === null ? {} : { content: row.content }),
    ...(row.notes === null ? {} : { notes: row.notes }),
    createdBy: row.created_by,
    createdAt: row.created_at,
  };
}
