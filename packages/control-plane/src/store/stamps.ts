import { servingPhases, type Stamp, type StampObservation, type StampTenants } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { StampStore } from "./port.ts";
import type { ObservedStamp } from "./records.ts";
import { recordFence } from "./stamp-fence.ts";
import { adoptStamp, retryStamp, setStampGoal } from "./stamp-goals.ts";
import { endedList } from "./move-rows.ts";
import { stampColumns, stampNotFound, type StampRow, toStamp } from "./stamp-rows.ts";
import { openRouteKeys, openSecrets, rotateRouteKeys, type Sealer, sealMissing } from "./stamp-secrets.ts";
import { createStamp, removeStamp, writeStamp } from "./stamp-write.ts";
import { usedPlaces } from "./used-places.ts";
import { audit, pageLimit, pageOf, staleLeader, write } from "./write.ts";

/** For SQL: a stamp of another phase has work to do, or is gone. */
const servingList = servingPhases.map((phase) => `'${phase}'`).join(", ");

export function stampStore(base: Sealer): StampStore {
  const { db } = base;
  return {
    async read(name) {
      const { rows } = await db.query<StampRow>(`SELECT ${stampColumns} FROM stamps WHERE name = $1`, [name]);
      return rows[0] === undefined ? undefined : toStamp(rows[0]);
    },
    async list(options = {}) {
      const limit = pageLimit(options.limit);
      const { rows } = await db.query<StampRow>(
        `SELECT ${stampColumns} FROM stamps
         WHERE name > $1 AND ($2::text IS NULL OR pool = $2) AND ($3::text IS NULL OR phase = $3)
         ORDER BY name LIMIT $4`,
        [options.cursor ?? "", options.pool ?? null, options.phase ?? null, limit + 1],
      );
      return pageOf(rows.map(toStamp), limit, (stamp) => stamp.value.name);
    },
    async all() {
      const { rows } = await db.query<StampRow>(`SELECT ${stampColumns} FROM stamps ORDER BY name`);
      return rows.map(toStamp);
    },
    async reservedNames() {
      const { rows } = await db.query<{ name: string }>(
        `SELECT DISTINCT stamp AS name FROM (
           SELECT stamp FROM tenants WHERE stamp IS NOT NULL
           UNION ALL SELECT unnest(ARRAY[from_stamp, to_stamp]) FROM moves WHERE phase NOT IN (${endedList})
         ) AS named WHERE NOT EXISTS (SELECT FROM stamps WHERE name = named.stamp) ORDER BY name`,
      );
      return rows.map((row) => row.name);
    },
    create: (input, ctx) => createStamp(base, input, ctx),
    write: (stamp, revision, options, ctx) => writeStamp(base, stamp, revision, options, ctx),
    remove: (name, options, ctx) => removeStamp(base, name, options, ctx),
    setGoal: (name, goal, options, ctx) => setStampGoal(base, name, goal, options, ctx),
    retry: (name, options, ctx) => retryStamp(base, name, options, ctx),
    adopt: (input, ctx) => adoptStamp(base, input, ctx),
    fence: (name, step, ctx) => recordFence(base, name, step, ctx),
    observe: (observation, ctx) => observe(base, observation, ctx.token),
    observation: async (name) => (await readObservations(base, name)).get(name),
    observations: () => readObservations(base, undefined),
    async due(observedBefore, limit = 1_000) {
      const { rows } = await db.query<{ name: string }>(
        `SELECT s.name FROM stamps s LEFT JOIN stamp_observations o ON o.stamp = s.name
         WHERE s.phase NOT IN (${servingList}) OR s.goal = 'absent' OR o.at IS NULL OR o.at < to_timestamp($1::float8 / 1000)
         ORDER BY o.at NULLS FIRST, s.name LIMIT $2`,
        [observedBefore, limit],
      );
      return rows.map((row) => row.name);
    },
    tenants: (name) => tenantsOf(db, name),
    used: (names) => usedPlaces(db, names),
    secrets: (name) => openSecrets(base, name),
    addSecrets: (name, secrets, ctx) =>
      write(base, ctx, async (w) => {
        await sealMissing(w, base.masters, name, secrets);
        await audit(w, "stamp.add-secrets", `stamp/${name}`, { names: Object.keys(secrets) });
      }),
    async routeKeys(name) {
      const keys = (await openRouteKeys(base, name)).get(name);
      if (keys === undefined) throw stampNotFound(name);
      return keys;
    },
    allRouteKeys: () => openRouteKeys(base, undefined),
    rotateRouteKeys: (name, ctx, followed) => rotateRouteKeys(base, name, ctx, followed),
    async counts() {
      const { rows } = await db.query<{ phase: Stamp["state"]["kind"]; count: number }>(
        "SELECT phase, count(*) AS count FROM stamps GROUP BY phase",
      );
      return Object.fromEntries(rows.map((row) => [row.phase, row.count]));
    },
  };
}

/** From indexes alone, as are the few keys that people see. */
async function tenantsOf(db: Queryable, name: string): Promise<StampTenants> {
  const { rows } = await db.query<{ count: number; some: string[]; kept_by: string[] }>(
    `SELECT (SELECT count(*) FROM tenants WHERE stamp = $1) AS count,
       ARRAY(SELECT key FROM tenants WHERE stamp = $1 ORDER BY key LIMIT 3) AS some,
       ARRAY(SELECT move_id FROM move_places WHERE stamp = $1 ORDER BY move_id LIMIT 3) AS kept_by`,
    [name],
  );
  const [row] = rows;
  const keptBy = row?.kept_by ?? [];
  return { count: row?.count ?? 0, some: row?.some ?? [], ...(keptBy.length === 0 ? {} : { keptBy }) };
}

/** One statement: seen every few seconds for every stamp, and wrong again a moment later. */
async function observe({ db, view }: Sealer, observation: StampObservation, token: number): Promise<void> {
  const { rows } = await db.query<{ leads: boolean; known: boolean }>(
    `WITH leader AS (SELECT 1 FROM lease WHERE name = 'leader' AND token = $3 FOR KEY SHARE),
       kept AS (
         INSERT INTO stamp_observations (stamp, observation)
         SELECT name, $2 FROM stamps, leader WHERE name = $1
         ON CONFLICT (stamp) DO UPDATE SET observation = excluded.observation, at = clock_timestamp() RETURNING 1
       )
     SELECT EXISTS (SELECT FROM leader) AS leads, EXISTS (SELECT FROM kept) AS known`,
    [observation.stamp, JSON.stringify(observation), token],
  );
  if (rows[0]?.leads !== true) throw staleLeader(token);
  view.observed(observation);
}

async function readObservations({ db }: Sealer, name: string | undefined): Promise<ReadonlyMap<string, ObservedStamp>> {
  const { rows } = await db.query<{ stamp: string; observation: StampObservation; at: number }>(
    "SELECT stamp, observation, at FROM stamp_observations WHERE $1::text IS NULL OR stamp = $1",
    [name ?? null],
  );
  return new Map(rows.map(({ stamp, observation, at }) => [stamp, { observation, at }]));
}
