import type { DirectoryChange } from "@stampyard/directory";
import type { Queryable } from "./database.ts";
import { type DirectoryFacts, whyHeld } from "./change-guard.ts";

interface PendingRow extends Record<string, unknown> {
  audit_id: number;
  change: DirectoryChange;
  confirmed_by: string | null;
}

/**
 * Looks at every transaction that is new since the last call, opens it for numbering or holds it, and holds what comes
 * after a held one on the same entries. A transaction is always seen whole: its rows became visible together.
 * @returns transactions newly held
 */
export async function judgeNew(tx: Queryable): Promise<number> {
  const { rows } = await tx.query<PendingRow>(
    "SELECT audit_id, change, confirmed_by FROM directory_pending WHERE state = 'new' ORDER BY id",
  );
  if (rows.length === 0) return 0;
  const held = new Map<number, string>();
  for (const [auditId, batch] of groupsOf(rows)) {
    if (batch.some((row) => row.confirmed_by !== null) || isHarmless(batch)) continue;
    const changes = batch.map((row) => row.change);
    const why = whyHeld(changes, await factsFor(tx, changes));
    if (why !== undefined) held.set(auditId, why);
  }
  for (const [auditId, why] of held) {
    await tx.query("UPDATE directory_pending SET state = 'held', why = $2 WHERE audit_id = $1", [auditId, why]);
  }
  await holdFollowers(tx);
  await tx.query("UPDATE directory_pending SET state = 'open' WHERE state = 'new'");
  return held.size;
}

/** Per entry the order of transactions is kept, so what follows a held change waits with it, and so on. */
async function holdFollowers(tx: Queryable): Promise<void> {
  for (;;) {
    const { rowCount } = await tx.query(
      `UPDATE directory_pending p SET state = 'held', behind = f.root
       FROM (
         SELECT later.audit_id, min(coalesce(h.behind, h.audit_id)) AS root
         FROM directory_pending h
         JOIN directory_pending later ON later.entry = h.entry AND later.id > h.id AND later.audit_id <> h.audit_id
         WHERE h.state = 'held' AND later.state <> 'held' GROUP BY later.audit_id
       ) f WHERE p.audit_id = f.audit_id AND p.state <> 'held'`,
    );
    if (rowCount === 0) return;
  }
}

function groupsOf(rows: readonly PendingRow[]): ReadonlyMap<number, readonly PendingRow[]> {
  const groups = new Map<number, PendingRow[]>();
  for (const row of rows) {
    const group = groups.get(row.audit_id);
    if (group === undefined) groups.set(row.audit_id, [row]);
    else group.push(row);
  }
  return groups;
}

/** Nearly every transaction: one change of one tenant, one stamp's new endpoints, the routing. Costs no query. */
function isHarmless(batch: readonly PendingRow[]): boolean {
  const tenants = new Set<string>();
  for (const { change } of batch) {
    if (change.kind === "stamp-remove") return false;
    if (change.kind === "tenant-put" || change.kind === "tenant-remove") tenants.add(change.tenant);
  }
  return tenants.size < 2;
}

async function factsFor(tx: Queryable, changes: readonly DirectoryChange[]): Promise<DirectoryFacts> {
  const tenants: string[] = [];
  const removed: string[] = [];
  for (const change of changes) {
    if (change.kind === "tenant-put" || change.kind === "tenant-remove") tenants.push(change.tenant);
    if (change.kind === "stamp-remove") removed.push(change.stamp);
  }
  const homes = await tx.query<{ name: string; stamp: string }>(
    "SELECT name, stamp FROM directory_entries WHERE stamp IS NOT NULL AND name = ANY ($1)",
    [tenants],
  );
  const stamps = [...new Set([...removed, ...homes.rows.map((row) => row.stamp)])];
  const counts = await tx.query<{ stamp: string; tenants: number }>(
    "SELECT stamp, count(*) AS tenants FROM directory_entries WHERE stamp = ANY ($1) GROUP BY stamp",
    [stamps],
  );
  const total = await tx.query<{ tenants: number }>(
    "SELECT count(*) AS tenants FROM directory_entries WHERE stamp IS NOT NULL",
  );
  const staying = await tx.query<{ name: string }>(
    "SELECT name FROM stamps WHERE goal <> 'absent' AND name = ANY ($1)",
    [removed],
  );
  const stays = new Set(staying.rows.map((row) => row.name));
  return {
    tenants: total.rows[0]?.tenants ?? 0,
    homeOf: new Map(homes.rows.map((row) => [row.name, row.stamp])),
    tenantsOn: new Map(counts.rows.map((row) => [row.stamp, row.tenants])),
    leaving: new Set(removed.filter((name) => !stays.has(name))),
  };
}
