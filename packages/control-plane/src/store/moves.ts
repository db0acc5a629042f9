import type { MoveStore } from "./move-port.ts";
import { landMove, rollBackMove } from "./move-land.ts";
import { proposeMove, requestMove } from "./move-request.ts";
import { endedList, moveColumns, type MoveRow, readMove, toMove } from "./move-rows.ts";
import { abortMove, finishMove, writeMove } from "./move-write.ts";
import { numericCursor, pageLimit, pageOf, type StoreBase } from "./write.ts";

export function moveStore(base: StoreBase): MoveStore {
  const { db } = base;
  return {
    read: (id) => readMove(db, id),
    async list(options = {}) {
      const limit = pageLimit(options.limit);
      const { tenant, stamp, phase, campaign, isOpen } = options;
      const { rows } = await db.query<MoveRow>(
        `SELECT ${moveColumns} FROM moves
         WHERE ($1::bigint IS NULL OR number < $1) AND ($2::text IS NULL OR tenant = $2)
           AND ($3::text IS NULL OR from_stamp = $3 OR to_stamp = $3) AND ($4::text IS NULL OR phase = $4)
           AND ($5::text IS NULL OR campaign = $5) AND ($6::boolean IS NULL OR $6 = (phase NOT IN (${endedList})))
         ORDER BY number DESC LIMIT $7`,
        [
          numericCursor(options.cursor) ?? null,
          tenant ?? null,
          stamp ?? null,
          phase ?? null,
          campaign ?? null,
          isOpen ?? null,
          limit + 1,
        ],
      );
      const { items, nextCursor } = pageOf<MoveRow>(rows, limit, (row) => String(row.number));
      return { items: items.map(toMove), ...(nextCursor === undefined ? {} : { nextCursor }) };
    },
    propose: (input) => proposeMove(base, input),
    request: (input, ctx) => requestMove(base, input, ctx),
    abort: (id, options, ctx) => abortMove(base, id, options, ctx),
    finish: (id, options, ctx) => finishMove(base, id, options, ctx),
    rollback: (id, options, ctx) => rollBackMove(base, id, options, ctx),
    write: (move, revision, ctx) => writeMove(base, move, revision, ctx),
    land: (id, ctx) => landMove(base, id, ctx),
    async due(now, limit = 1_000) {
      const { rows } = await db.query<{ id: string }>(dueSql, [now, limit]);
      return rows.map((row) => row.id);
    },
    async holding(stamp) {
      const { rows } = await db.query<{ id: string; resting: boolean }>(
        `SELECT id, phase = 'resting' AS resting FROM moves
         WHERE (from_stamp = $1 OR to_stamp = $1) AND phase NOT IN (${endedList}) ORDER BY number`,
        [stamp],
      );
      const idsOf = (resting: boolean) => rows.filter((row) => row.resting === resting).map((row) => row.id);
      return { moving: idsOf(false), resting: idsOf(true) };
    },
    async atWork() {
      const { rows } = await db.query<{ stamp: string; moves: number }>(
        `SELECT stamp, count(*) AS moves FROM moves, unnest(ARRAY[from_stamp, to_stamp]) AS stamp
         WHERE phase IN ('copying', 'switching') GROUP BY stamp`,
      );
      return new Map(rows.map((row) => [row.stamp, row.moves]));
    },
  };
}

/**
 * What rests waits for its time, and what is disputed for a person's word. While another move takes the tenant back they
 * wait for its source to decide; those few are found by that move, so that the many that rest are not looked at.
 */
const dueSql = `
SELECT id FROM (
  SELECT id, due_at_ms, number FROM moves m
  WHERE phase NOT IN (${endedList}) AND due_at_ms <= $1
    AND (phase NOT IN ('resting', 'disputed') OR (phase = 'resting' OR accepted)
      AND NOT EXISTS (SELECT FROM moves b WHERE b.returns = m.id AND b.phase <> 'aborted'))
  UNION ALL
  SELECT m.id, 0, m.number FROM moves b JOIN moves m ON m.id = b.returns
  WHERE b.returns IS NOT NULL AND m.phase IN ('resting', 'disputed')
    AND b.phase IN ('opening', 'verifying', 'resting', 'disputed', 'erasing', 'done', 'returned')
) AS due ORDER BY due_at_ms, number LIMIT $2`;
