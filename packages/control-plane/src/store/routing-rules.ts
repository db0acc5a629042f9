import {
  type Digest,
  type Fleet,
  mostTrials,
  publishedRouting,
  type Routing,
  type RoutingRules,
  type RoutingTrial,
  rulesDigest,
  rulesOf,
  StampyardError,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { sha256 } from "./sequence.ts";
import { leaveChanges, type Write } from "./write.ts";

/**
 * Which rules of routing hold where. The fleet's row has those that hold for all but the stamps whose rows name others by
 * their digest; what is published follows from both, so every transaction that changes one of them publishes anew. Each of
 * them keeps the fleet's row (`lockFleetRow`) before it looks at stamps, so that none publishes what another one has changed.
 */

/** Keeps rules under their digests, for those who name them. */
export async function keepRules(w: Queryable, routings: readonly Routing[]): Promise<void> {
  const known = new Map(routings.map((routing) => [rulesDigest(routing, sha256), rulesOf(routing)]));
  if (known.size === 0) return;
  await w.query(
    `INSERT INTO routing_rules (digest, rules) SELECT digest, rules::jsonb FROM unnest($1::text[], $2::text[])
       AS t (digest, rules) ON CONFLICT (digest) DO NOTHING`,
    [[...known.keys()], [...known.values()].map((rules) => JSON.stringify(rules))],
  );
}

export async function readRules(tx: Queryable, digests: readonly Digest[]): Promise<ReadonlyMap<Digest, RoutingRules>> {
  const { rows } = await tx.query<{ digest: Digest; rules: RoutingRules }>(
    "SELECT digest, rules FROM routing_rules WHERE digest = ANY ($1)",
    [[...digests]],
  );
  return new Map(rows.map(({ digest, rules }) => [digest, rules]));
}

/** @throws StampyardError INVALID_REQUEST for rules that nobody has kept: nobody could go back to them (I37) */
export async function requireRules(tx: Queryable, digests: readonly (Digest | undefined)[]): Promise<void> {
  const named = [...new Set(digests.filter((digest) => digest !== undefined))];
  const known = await readRules(tx, named);
  const missing = named.find((digest) => !known.has(digest));
  if (missing === undefined) return;
  throw new StampyardError("INVALID_REQUEST", `There are no routing rules ${missing}`);
}

/** What routers are to be told: the fleet's routing, and the rules of stamps that have others, newest first. */
export async function routingNow(tx: Queryable, fleet: Fleet): Promise<Routing> {
  const { rows } = await tx.query<{ rules: RoutingRules; stamps: string[] }>(
    `SELECT r.rules, array_agg(s.name ORDER BY s.name) AS stamps
     FROM stamps s JOIN routing_rules r ON r.digest = s.routing_digest
     WHERE s.routing_digest <> $1 GROUP BY r.digest ORDER BY r.number DESC`,
    [rulesDigest(fleet.routing, sha256)],
  );
  const trials = rows.map(({ rules, stamps }): RoutingTrial => ({ stamps, routing: rules }));
  return publishedRouting(fleet, trials);
}

/**
 * Publishes it. Saying again what is so costs nothing: the sequencer numbers no change that changes nothing.
 * @throws StampyardError WRONG_PHASE for more sets of rules at once than routers take
 */
export async function publishRouting(w: Write, auditId: number): Promise<void> {
  const { rows } = await w.query<{ fleet: Fleet }>("SELECT fleet FROM fleet");
  const [row] = rows;
  if (row === undefined) return;
  const routing = await routingNow(w, row.fleet);
  if ((routing.trials?.length ?? 0) > mostTrials) {
    throw new StampyardError("WRONG_PHASE", `More than ${mostTrials} sets of routing rules would be on trial at once`, {
      mend: "Finish or undo rollouts that changed routing rules first.",
    });
  }
  await leaveChanges(w, auditId, [{ kind: "routing-put", routing }]);
}

/** Stamps that the fleet's rules hold for now have none of their own. @param all also those with others */
export async function settleStamps(w: Queryable, fleet: Fleet, all: boolean): Promise<void> {
  await w.query(
    `UPDATE stamps SET routing_digest = NULL WHERE routing_digest IS NOT NULL AND ($2 OR routing_digest = $1)`,
    [rulesDigest(fleet.routing, sha256), all],
  );
}

/** Forgets rules that no stamp, no member of a rollout and no fleet names any more. */
export async function pruneRules(w: Queryable): Promise<void> {
  await w.query(
    `DELETE FROM routing_rules r WHERE NOT EXISTS (SELECT FROM stamps WHERE routing_digest = r.digest)
       AND NOT EXISTS (SELECT FROM rollout_members WHERE r.digest IN (from_aim ->> 'routing', to_aim ->> 'routing'))
       AND NOT EXISTS (SELECT FROM fleet WHERE (fleet -> 'routing') - '{limits,catchAll,trials}'::text[] = r.rules)`,
  );
}
