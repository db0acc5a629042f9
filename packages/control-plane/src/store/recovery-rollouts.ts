import type { Queryable } from "./database.ts";

/**
 * What a store that was set back knows of its rollouts may be long out of date: what is under way pauses where it was,
 * and what has not begun must be asked for again. One that takes its members back goes on with that, once the store has
 * recovered: nothing is stronger than an abort (I36), and `from` is what their rows say by then anyway.
 * @param now Instant in milliseconds
 * @returns ids of those that it stopped
 */
export async function stopRollouts(
  tx: Pick<Queryable, "query">,
  why: string,
  now: number,
): Promise<{ readonly paused: readonly string[]; readonly ended: readonly string[] }> {
  const changed = "waiting_on = NULL, revision = revision + 1, updated_at = clock_timestamp()";
  const paused = await tx.query<{ id: string }>(
    `UPDATE rollouts SET ${changed}, state = jsonb_build_object('kind', 'paused', 'since', $1::bigint, 'why', $2::text,
       'by', 'recovery', 'was', state)
     WHERE phase IN ('updating', 'baking', 'approval') RETURNING id`,
    [now, `${why}; what it would do now may be out of date`],
  );
  const ended = await tx.query<{ id: string }>(
    `UPDATE rollouts SET ${changed}, state = jsonb_build_object('kind', 'aborted', 'at', $1::bigint, 'cause', $2::text,
       'by', 'recovery')
     WHERE phase = 'queued' RETURNING id`,
    [now, `${why} before it began: start it again`],
  );
  return { paused: paused.rows.map((row) => row.id), ended: ended.rows.map((row) => row.id) };
}
