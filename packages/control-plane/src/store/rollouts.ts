import type { Digest, MemberPhase } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { RolloutStore } from "./rollout-port.ts";
import { endedRolloutList, readMembers, rolloutColumns, type RolloutRow, toRollout } from "./rollout-rows.ts";
import { startRollout } from "./rollout-start.ts";
import { pruneRules } from "./routing-rules.ts";
import { commandStoredRollout, writeRollout } from "./rollout-write.ts";
import type { Sealer } from "./stamp-secrets.ts";
import { audit, numericCursor, pageLimit, pageOf, write } from "./write.ts";

export function rolloutStore(base: Sealer): RolloutStore {
  const { db } = base;
  return {
    async read(id) {
      const { rows } = await db.query<RolloutRow>(`SELECT ${rolloutColumns} FROM rollouts WHERE id = $1`, [id]);
      return rows[0] === undefined ? undefined : toRollout(rows[0]);
    },
    async list(options = {}) {
      const limit = pageLimit(options.limit);
      const { phase, release, stamp, isOpen, cursor } = options;
      const { rows } = await db.query<RolloutRow>(
        `SELECT ${rolloutColumns} FROM rollouts r
         WHERE ($1::bigint IS NULL OR number < $1) AND ($2::text IS NULL OR phase = $2)
           AND ($3::text IS NULL OR release_digest = $3)
           AND ($4::text IS NULL OR EXISTS (SELECT FROM rollout_members m WHERE m.rollout = r.id AND m.stamp = $4))
           AND ($5::boolean IS NULL OR $5 = (phase NOT IN (${endedRolloutList})))
         ORDER BY number DESC LIMIT $6`,
        [numericCursor(cursor) ?? null, phase ?? null, release ?? null, stamp ?? null, isOpen ?? null, limit + 1],
      );
      const { items, nextCursor } = pageOf<RolloutRow>(rows, limit, (row) => String(row.number));
      return { items: items.map(toRollout), ...(nextCursor === undefined ? {} : { nextCursor }) };
    },
    members: (id) => readMembers(db, id),
    async counts(ids) {
      const { rows } = await db.query<{ rollout: string; phase: MemberPhase; members: number }>(
        "SELECT rollout, phase, count(*) AS members FROM rollout_members WHERE rollout = ANY ($1) GROUP BY 1, 2",
        [[...ids]],
      );
      const counts = new Map<string, Record<string, number>>();
      for (const { rollout, phase, members } of rows) {
        counts.set(rollout, { ...counts.get(rollout), [phase]: members });
      }
      return counts;
    },
    start: (input, ctx) => startRollout(base, input, ctx),
    write: (rollout, revision, members, ctx) => writeRollout(base, rollout, revision, members, ctx),
    command: (id, command, options, ctx) => commandStoredRollout(base, id, command, options, ctx),
    async open() {
      const { rows } = await db.query<{ id: string }>(
        `SELECT id FROM rollouts WHERE phase NOT IN (${endedRolloutList}) ORDER BY number`,
      );
      return rows.map((row) => row.id);
    },
    lastGood: (stamp) => lastGood(db, stamp),
    prune: ({ keepMs, keepRollouts }, ctx) =>
      write(base, ctx, async (w) => {
        const old = "updated_at < clock_timestamp() - $1::float8 * interval '1 millisecond'";
        const { rowCount } = await w.query(
          `DELETE FROM rollouts WHERE phase IN (${endedRolloutList}) AND ${old}
           AND number NOT IN (SELECT number FROM rollouts ORDER BY number DESC LIMIT $2)`,
          [keepMs, keepRollouts],
        );
        if (rowCount === 0) return 0;
        await w.query(
          `DELETE FROM fleet_goals g WHERE NOT EXISTS (SELECT FROM rollouts WHERE fleet_revision = g.revision)`,
        );
        await pruneRules(w);
        await audit(w, "rollouts.prune", "rollouts", { rollouts: rowCount });
        return rowCount;
      }),
  };
}

/**
 * A member that a finished rollout updated ran its `to`, and one that went back runs its `from`. Before the first
 * rollout of a stamp it ran what it was built with. A name that was used before was another stamp.
 */
async function lastGood(db: Queryable, stamp: string): Promise<readonly Digest[]> {
  const { rows } = await db.query<{ release: Digest; number: number }>(
    `WITH mine AS (
       SELECT r.number, r.phase AS of, m.phase, m.from_aim ->> 'release' AS from_release,
         m.to_aim ->> 'release' AS to_release
       FROM rollout_members m JOIN rollouts r ON r.id = m.rollout JOIN stamps s ON s.name = m.stamp
       WHERE m.stamp = $1 AND r.created_at >= s.created_at AND m.phase NOT IN ('waiting', 'skipped')
     )
     SELECT release, max(number) AS number FROM (
       SELECT to_release AS release, number FROM mine WHERE of IN ('done', 'superseded') AND phase = 'updated'
       UNION ALL SELECT from_release, number FROM mine WHERE phase = 'returned'
       UNION ALL (SELECT from_release, 0 FROM mine ORDER BY number LIMIT 1)
       UNION ALL SELECT release_digest, 0 FROM stamps WHERE name = $1 AND NOT EXISTS (SELECT FROM mine)
         AND phase IN ('active', 'cordoned', 'draining', 'empty')
     ) AS good GROUP BY release ORDER BY 2 DESC`,
    [stamp],
  );
  return rows.map((row) => row.release);
}
