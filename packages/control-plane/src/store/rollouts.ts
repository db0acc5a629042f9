import type { MemberPhase } from "@stampyard/domain";
import type { RolloutStore } from "./rollout-port.ts";
import { endedRolloutList, readMembers, rolloutColumns, type RolloutRow, toRollout } from "./rollout-rows.ts";
import { startRollout } from "./rollout-start.ts";
import { pruneRules } from "./routing-rules.ts";
import { commandStoredRollout, writeRollout } from "./rollout-write.ts";
import type { Sealer } from "./stamp-secrets.ts";
import { readLastGood, readWantedContents } from "./wanted-contents.ts";
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
    lastGood: () => readLastGood(db),
    wantedContents: (others) => readWantedContents(db, others),
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
