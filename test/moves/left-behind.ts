import type { MoveView } from "../../packages/api/src/schemas/moves.ts";
import type { HistoryFleet } from "./history-fleet.ts";

/** What moves that have ended must not leave in either database (I22). */
export async function leftBehind(
  fleet: HistoryFleet,
  stamps: readonly string[],
  ended: readonly Pick<MoveView, "id">[],
): Promise<readonly string[]> {
  const ids = ended.flatMap(({ id }) => [id, `${id}-back`]);
  const problems: string[] = [];
  for (const stamp of stamps) {
    const db = await fleet.connect(stamp, "postgres");
    try {
      const { rows: tables } = await db.query<{ name: string }>(
        `select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'move_id'
         where c.relnamespace = 'stampyard'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'tenant_home'`,
      );
      for (const { name } of tables) {
        const { rows } = await db.query<{ move_id: string; n: number }>(
          `select move_id, count(*)::int as n from stampyard.${name} where move_id = any ($1) group by 1`,
          [ids],
        );
        problems.push(...rows.map((row) => `${row.n} rows of ${row.move_id} are left in ${name} of ${stamp}`));
      }
      const { rows: homes } = await db.query<{ tenant: string; state: string; move_id: string }>(
        "select tenant, state, move_id from stampyard.tenant_home where move_id = any ($1) and state <> 'moved'",
        [ids],
      );
      problems.push(...homes.map((row) => `${row.tenant} is ${row.state} by ${row.move_id} in ${stamp}`));
      const { rows: others } = await db.query<{ what: string }>(
        `select 'slot ' || slot_name as what from pg_replication_slots
         union all select 'publication ' || pubname from pg_publication union all select 'subscription ' || subname from pg_subscription`,
      );
      problems.push(...others.map(({ what }) => `${what} is left in ${stamp}`));
    } finally {
      await db.end();
    }
  }
  return problems;
}
