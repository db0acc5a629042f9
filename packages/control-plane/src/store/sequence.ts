import { createHash } from "node:crypto";
import { type DirectoryChange, nextChain } from "@stampyard/directory";
import { canonicalJson, type Json, type Sha256 } from "@stampyard/domain";
import { type AuditRow, auditColumns, auditLink } from "./audit-rows.ts";
import type { Queryable } from "./database.ts";
import { judgeNew } from "./sequence-guard.ts";
import type { Sequenced, WriteContext } from "./records.ts";
import { entryOf, type StoreBase, type Write, write } from "./write.ts";

/** Channel on which every process of this store learns that the head moved. */
export const directoryChannel = "stampyard_control_directory";

/** Rows of each kind per call: some 10 ms of work, so that a renewal of the lease or a takeover never waits long. */
const batchRows = 2_000;

export const sha256: Sha256 = (bytes) => createHash("sha256").update(bytes).digest();

interface Head extends Record<string, unknown> {
  version: number;
  chain: string;
  confirmed_version: number;
  audit_number: number;
  audit_chain: string;
}

/**
 * Numbers what is committed. The order is that of the rows' ids, which per entry is the order of the transactions;
 * between entries any order is right, and a row that commits late is simply in a later batch (decision D10).
 */
export function sequence(base: StoreBase, ctx: WriteContext): Promise<Sequenced> {
  return write(base, ctx, async (w) => {
    const { rows } = await w.query<Head>(
      "SELECT version, chain, confirmed_version, audit_number, audit_chain FROM directory_head FOR UPDATE",
    );
    const [head] = rows;
    if (head === undefined) throw new RangeError("The store has no directory head");
    const normal = w.mode === "normal";
    const held = normal ? await judgeNew(w) : 0;
    const directory = normal ? await numberChanges(w, head) : { versions: 0, skipped: 0, taken: 0 };
    const audits = await numberAudits(w, head);
    const position = { incarnation: w.incarnation, version: head.version, chain: head.chain };
    if (directory.taken > 0 || audits > 0) {
      await w.query(
        `UPDATE directory_head SET version = $1, chain = $2, confirmed_version = $3, audit_number = $4, audit_chain = $5,
           at = CASE WHEN version = $1 THEN at ELSE clock_timestamp() END`,
        [head.version, head.chain, head.confirmed_version, head.audit_number, head.audit_chain],
      );
    }
    if (directory.versions > 0) {
      await w.query("SELECT pg_notify($1, $2)", [directoryChannel, String(head.version)]);
      w.tell({ kind: "directory", head: position });
    }
    const more = directory.taken === batchRows || audits === batchRows;
    return { versions: directory.versions, skipped: directory.skipped, audits, held, more, head: position };
  });
}

interface PendingRow extends Record<string, unknown> {
  id: number;
  change: DirectoryChange;
  audit_id: number;
  confirmed_by: string | null;
}

interface Numbered {
  readonly version: number;
  readonly chain: string;
  readonly row: PendingRow;
}

async function numberChanges(w: Write, head: Head): Promise<{ versions: number; skipped: number; taken: number }> {
  const { rows } = await w.query<PendingRow>(
    "SELECT id, change, audit_id, confirmed_by FROM directory_pending WHERE state = 'open' ORDER BY id LIMIT $1",
    [batchRows],
  );
  if (rows.length === 0) return { versions: 0, skipped: 0, taken: 0 };
  const entries = await presentEntries(w, rows);
  const numbered: Numbered[] = [];
  const changed = new Map<string, Numbered>();
  for (const row of rows) {
    const name = entryOf(row.change);
    if (changesNothing(entries.get(name), row.change)) continue;
    head.version += 1;
    head.chain = nextChain(head.chain, row.change, sha256);
    if (row.confirmed_by !== null) head.confirmed_version = head.version;
    const step = { version: head.version, chain: head.chain, row };
    numbered.push(step);
    changed.set(name, step);
    if (isRemoval(row.change)) entries.delete(name);
    else entries.set(name, row.change);
  }
  await insertVersions(w, numbered);
  await projectEntries(w, [...changed.values()]);
  await w.query("DELETE FROM directory_pending WHERE id = ANY ($1)", [rows.map((row) => row.id)]);
  return { versions: numbered.length, skipped: rows.length - numbered.length, taken: rows.length };
}

/** A level-triggered turn says again what is so; numbering that would wake every router for nothing. */
function changesNothing(present: DirectoryChange | undefined, change: DirectoryChange): boolean {
  if (isRemoval(change)) return present === undefined;
  if (present === undefined) return false;
  // Writes keep epochs rising; this is the second wall, because a router must never see one fall (I2).
  if (change.kind === "tenant-put" && present.kind === "tenant-put" && change.epoch < present.epoch) return true;
  return text(present) === text(change);
}

async function presentEntries(tx: Queryable, rows: readonly PendingRow[]): Promise<Map<string, DirectoryChange>> {
  const wanted = rows.map((row) => placeOf(row.change));
  const found = await tx.query<{ change: DirectoryChange }>(
    `SELECT change FROM directory_entries WHERE (rank, name) IN (SELECT * FROM unnest($1::smallint[], $2::text[]))`,
    [wanted.map((place) => place.rank), wanted.map((place) => place.name)],
  );
  return new Map(found.rows.map(({ change }) => [entryOf(change), change]));
}

async function insertVersions(w: Write, numbered: readonly Numbered[]): Promise<void> {
  await w.query(
    `INSERT INTO directory_versions (version, incarnation, chain, change, audit_id, confirmed_by)
     SELECT version, $6, chain, change::jsonb, audit_id, confirmed_by
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[])
       AS t (version, chain, change, audit_id, confirmed_by)`,
    [
      numbered.map((step) => step.version),
      numbered.map((step) => step.chain),
      numbered.map((step) => JSON.stringify(step.row.change)),
      numbered.map((step) => step.row.audit_id),
      numbered.map((step) => step.row.confirmed_by),
      w.incarnation,
    ],
  );
}

/** Keeps the directory at its head beside the versions, so that a snapshot is a plain read. */
async function projectEntries(w: Write, last: readonly Numbered[]): Promise<void> {
  const removals = last.filter((step) => isRemoval(step.row.change)).map((step) => placeOf(step.row.change));
  if (removals.length > 0) {
    await w.query(
      "DELETE FROM directory_entries WHERE (rank, name) IN (SELECT * FROM unnest($1::smallint[], $2::text[]))",
      [removals.map((place) => place.rank), removals.map((place) => place.name)],
    );
  }
  const puts = last.filter((step) => !isRemoval(step.row.change));
  if (puts.length === 0) return;
  const places = puts.map((step) => placeOf(step.row.change));
  await w.query(
    `INSERT INTO directory_entries (rank, name, change, version)
     SELECT rank, name, change::jsonb, version FROM unnest($1::smallint[], $2::text[], $3::text[], $4::bigint[])
       AS t (rank, name, change, version)
     ON CONFLICT (rank, name) DO UPDATE SET change = excluded.change, version = excluded.version`,
    [
      places.map((place) => place.rank),
      places.map((place) => place.name),
      puts.map((step) => JSON.stringify(step.row.change)),
      puts.map((step) => step.version),
    ],
  );
}

async function numberAudits(w: Write, head: Head): Promise<number> {
  const { rows } = await w.query<AuditRow>(
    `SELECT ${auditColumns} FROM audit WHERE number IS NULL ORDER BY id LIMIT $1`,
    [batchRows],
  );
  if (rows.length === 0) return 0;
  const links = rows.map((row) => {
    head.audit_number += 1;
    head.audit_chain = auditLink(head.audit_chain, head.audit_number, row);
    return { id: row.id, number: head.audit_number, chain: head.audit_chain };
  });
  await w.query(
    `UPDATE audit SET number = t.number, chain = t.chain
     FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS t (id, number, chain) WHERE audit.id = t.id`,
    [links.map((link) => link.id), links.map((link) => link.number), links.map((link) => link.chain)],
  );
  return rows.length;
}

export const rankOfRouting = 1;
export const rankOfTenants = 2;

/** Row of an entry; `rank` orders a snapshot so that a tenant never comes before its stamp. */
function placeOf(change: DirectoryChange): { readonly rank: number; readonly name: string } {
  switch (change.kind) {
    case "stamp-put":
    case "stamp-remove":
      return { rank: 0, name: change.stamp };
    case "routing-put":
      return { rank: rankOfRouting, name: "" };
    case "tenant-put":
    case "tenant-remove":
      return { rank: rankOfTenants, name: change.tenant };
  }
}

function isRemoval(change: DirectoryChange): boolean {
  return change.kind === "stamp-remove" || change.kind === "tenant-remove";
}

function text(change: DirectoryChange): string {
  return canonicalJson(change as unknown as Json);
}
