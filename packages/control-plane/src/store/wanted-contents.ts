import type { Digest } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { endedRolloutList } from "./rollout-rows.ts";

/** Which releases somebody may have to go back or on to, so that their files stay. */

/**
 * Releases that each stamp ran and that a finished rollout, or its building, found good, newest first. A member that a
 * finished rollout updated ran its `to`, and one that went back runs its `from`. Before the first rollout of a stamp it
 * ran what it was built with. A name that was used before was another stamp.
 */
export async function readLastGood(db: Queryable): Promise<ReadonlyMap<string, readonly Digest[]>> {
  const { rows } = await db.query<{ stamp: string; release: Digest }>(
    `WITH mine AS (
       SELECT m.stamp, r.number, r.phase AS of, m.phase, m.from_aim ->> 'release' AS from_release,
         m.to_aim ->> 'release' AS to_release
       FROM rollout_members m JOIN rollouts r ON r.id = m.rollout JOIN stamps s ON s.name = m.stamp
       WHERE r.created_at >= s.created_at AND m.phase NOT IN ('waiting', 'skipped')
     )
     SELECT stamp, release FROM (
       SELECT stamp, to_release AS release, number FROM mine WHERE of IN ('done', 'superseded') AND phase = 'updated'
       UNION ALL SELECT stamp, from_release, number FROM mine WHERE phase = 'returned'
       UNION ALL (SELECT DISTINCT ON (stamp) stamp, from_release, 0 FROM mine ORDER BY stamp, number)
       UNION ALL SELECT name, release_digest, 0 FROM stamps
         WHERE name NOT IN (SELECT stamp FROM mine) AND phase IN ('active', 'cordoned', 'draining', 'empty')
     ) AS good GROUP BY stamp, release ORDER BY stamp, max(number) DESC`,
  );
  const found = new Map<string, Digest[]>();
  for (const { stamp, release } of rows) found.set(stamp, [...(found.get(stamp) ?? []), release]);
  return found;
}

const openMembers = `rollout_members JOIN rollouts ON id = rollout AND rollouts.phase NOT IN (${endedRolloutList})`;

/**
 * Digests of all files that are wanted: of releases that the fleet, a goal, a pin, a stamp or an open rollout names, that
 * the undoing of a rollout would bring back, that are a stamp's last good one (I37), and of so many of the newest others.
 */
export async function readWantedContents(db: Queryable, others: number): Promise<ReadonlySet<Digest>> {
  const good = [...(await readLastGood(db)).values()].flatMap((releases) => releases.slice(0, 1));
  const { rows } = await db.query<{ content: Digest }>(
    `WITH aims AS (
       SELECT from_aim AS aim FROM ${openMembers} UNION SELECT to_aim FROM ${openMembers}
       UNION SELECT m.from_aim FROM rollout_members m JOIN rollouts r ON r.id = m.rollout
         JOIN stamps s ON s.name = m.stamp AND s.stamp_digest = m.to_aim ->> 'stampDigest'
         WHERE m.phase = 'updated' AND r.phase IN ('done', 'superseded')
     ), named AS (
       SELECT release_digest AS digest FROM fleet
       UNION SELECT g.release_digest FROM fleet_goals g JOIN rollouts r ON r.fleet_revision = g.revision
         WHERE r.phase NOT IN (${endedRolloutList})
       UNION SELECT release_digest FROM rollouts WHERE phase NOT IN (${endedRolloutList})
       UNION SELECT before ->> 'release' FROM rollouts
         WHERE number = (SELECT max(number) FROM rollouts WHERE phase = 'done')
       UNION SELECT release_digest FROM stamps
       UNION SELECT release_digest FROM pins WHERE until > clock_timestamp()
       UNION SELECT aim ->> 'release' FROM aims
       UNION SELECT unnest($1::text[])
     ), wanted AS (
       SELECT digest FROM named
       UNION ALL (SELECT digest FROM releases WHERE content IS NOT NULL AND digest NOT IN (
         SELECT digest FROM named WHERE digest IS NOT NULL) ORDER BY id DESC LIMIT $2)
     ), files AS (
       SELECT content FROM releases WHERE digest IN (SELECT digest FROM wanted)
       UNION SELECT jsonb_path_query(template, '$.stages[*].components[*].content') #>> '{}'
         FROM releases WHERE digest IN (SELECT digest FROM wanted)
     ) SELECT content FROM files WHERE content IS NOT NULL`,
    [good, others],
  );
  return new Set(rows.map(({ content }) => content));
}
