import { chainStart, type DirectoryChange, type FeedPosition } from "@stampyard/directory";
import { StampyardError } from "@stampyard/domain";
import { beginRead, endRead, type Queryable } from "./database.ts";
import type { DirectoryStore } from "./port.ts";
import type {
  ChangesAnswer,
  DirectoryHead,
  DirectorySnapshot,
  DirectoryVersionRow,
  HeldBatch,
  StoreMode,
  WriteContext,
} from "./records.ts";
import { rankOfRouting, rankOfTenants, sequence } from "./sequence.ts";
import { audit, type StoreBase, write } from "./write.ts";

const snapshotPage = 2_000;

export function directoryStore(base: StoreBase): DirectoryStore {
  return {
    head: () => readHead(base.db),
    sequence: (ctx) => sequence(base, ctx),
    changesAfter: (position, limit = 1_000) => changesAfter(base.db, position, limit),
    snapshot: () => openSnapshot(base),
    async tenantVersion(key) {
      const { rows } = await base.db.query<{ version: number | null; pending: boolean }>(
        `SELECT (SELECT version FROM directory_entries WHERE rank = ${rankOfTenants} AND name = $1) AS version,
           EXISTS (SELECT FROM directory_pending WHERE entry = 'tenant/' || $1) AS pending`,
        [key],
      );
      const { version = null, pending = false } = rows[0] ?? {};
      return version === null && !pending ? undefined : { version: version ?? 0, pending };
    },
    async routingVersion() {
      const { rows } = await base.db.query<{ version: number | null; pending: boolean }>(
        `SELECT (SELECT version FROM directory_entries WHERE rank = ${rankOfRouting}) AS version,
           EXISTS (SELECT FROM directory_pending WHERE entry = 'routing/') AS pending`,
      );
      const { version, pending } = rows[0] ?? { version: null, pending: false };
      return { version: version ?? 0, pending };
    },
    held: () => readHeld(base),
    confirm: (id, ctx) => confirm(base, id, ctx),
    prune: (limits, ctx) =>
      write(base, ctx, async (w) => {
        // The head's own row stays: positions are checked against it.
        const { rowCount } = await w.query(
          `DELETE FROM directory_versions
           WHERE version <= (SELECT version FROM directory_head) - greatest($1::bigint, 1)
             AND at < clock_timestamp() - $2::float8 * interval '1 millisecond'`,
          [limits.keepVersions, limits.keepMs],
        );
        if (rowCount > 0) await audit(w, "directory.prune", "directory", { versions: rowCount });
        return rowCount;
      }),
  };
}

interface HeadRow extends Record<string, unknown> {
  incarnation: number;
  mode: StoreMode;
  version: number;
  chain: string;
  at: number | null;
  confirmed_version: number;
}

const headQuery = `SELECT m.incarnation, m.mode, h.version, h.chain, h.at, h.confirmed_version
  FROM meta m, directory_head h`;

async function readHead(tx: Queryable): Promise<DirectoryHead> {
  const { rows } = await tx.query<HeadRow & { pending: number }>(
    `SELECT head.*, (SELECT count(*) FROM directory_pending WHERE state <> 'held') AS pending FROM (${headQuery}) head`,
  );
  const [row] = rows;
  if (row === undefined) throw new StampyardError("INTERNAL", "The store has no directory head");
  const { incarnation, mode, version, chain, at, pending } = row;
  const confirmedVersion = row.confirmed_version;
  return { incarnation, mode, version, chain, ...(at === null ? {} : { at }), confirmedVersion, pending };
}

interface VersionRow extends Record<string, unknown> {
  version: number;
  incarnation: number;
  chain: string;
  change: DirectoryChange;
  at: number;
  confirmed_by: string | null;
}

async function changesAfter(tx: Queryable, position: FeedPosition, limit: number): Promise<ChangesAnswer> {
  const { incarnation, version, chain } = await readHead(tx);
  const head = { incarnation, version, chain };
  // Above the head, or of a later life of the store: it has seen versions that we never made, or lost (I42).
  if (position.incarnation > incarnation || position.version > version) return { kind: "diverged", head };
  if (position.version === 0) {
    if (position.chain !== chainStart) return { kind: "diverged", head };
    return version === 0 ? { kind: "changes", changes: [], head } : { kind: "snapshot", head };
  }
  const { rows } = await tx.query<VersionRow>(
    `SELECT version, incarnation, chain, change, at, confirmed_by FROM directory_versions
     WHERE version >= $1 AND version <= $2 ORDER BY version LIMIT $3`,
    [position.version, version, limit + 1],
  );
  const [own, ...later] = rows;
  if (own?.version !== position.version) return { kind: "snapshot", head };
  // A chain value stands for the whole history before it, so nothing else needs to be compared.
  if (own.chain !== position.chain) return { kind: "diverged", head };
  const gapless = later.every((row, index) => row.version === position.version + 1 + index);
  return gapless ? { kind: "changes", changes: later.map(toVersion), head } : { kind: "snapshot", head };
}

async function openSnapshot(base: StoreBase): Promise<DirectorySnapshot> {
  const client = await beginRead(base.db);
  let open = true;
  const close = async () => {
    if (!open) return;
    open = false;
    await endRead(client);
  };
  async function* pages(): AsyncGenerator<readonly DirectoryChange[]> {
    let rank = -1;
    let name = "";
    try {
      for (;;) {
        if (!open) throw new StampyardError("CANCELLED", "The snapshot was closed before its end");
        const { rows } = await client.query<{ rank: number; name: string; change: DirectoryChange }>(
          `SELECT rank, name, change FROM directory_entries WHERE (rank, name) > ($1::smallint, $2)
           ORDER BY rank, name LIMIT ${snapshotPage}`,
          [rank, name],
        );
        if (rows.length > 0) yield rows.map((row) => row.change);
        const last = rows.at(-1);
        if (last === undefined || rows.length < snapshotPage) return;
        ({ rank, name } = last);
      }
    } finally {
      await close();
    }
  }
  try {
    const head = await client.query<HeadRow & { entries: number }>(
      `SELECT head.*, (SELECT count(*) FROM directory_entries) AS entries FROM (${headQuery}) head`,
    );
    const [row] = head.rows;
    if (row === undefined) throw new StampyardError("INTERNAL", "The store has no directory head");
    const { incarnation, version, chain, entries } = row;
    const position = { incarnation, version, chain };
    const confirmedVersion = row.confirmed_version;
    return { position, entries, confirmedVersion, pages: pages(), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readHeld({ db }: StoreBase): Promise<readonly HeldBatch[]> {
  const { rows } = await db.query<Omit<HeldBatch, "since"> & { since: number } & Record<string, unknown>>(
    `SELECT p.audit_id AS id, min(p.why) AS why, count(*) AS changes, min(a.actor) AS actor, min(p.at) AS since,
       (SELECT count(DISTINCT f.audit_id) FROM directory_pending f WHERE f.behind = p.audit_id) AS behind
     FROM directory_pending p LEFT JOIN audit a ON a.id = p.audit_id
     WHERE p.state = 'held' AND p.behind IS NULL GROUP BY p.audit_id ORDER BY p.audit_id`,
  );
  return rows.map(({ id, why, changes, actor, since, behind }) => ({ id, why, changes, actor, since, behind }));
}

function confirm(base: StoreBase, id: number, ctx: WriteContext): Promise<void> {
  return write(base, ctx, async (w) => {
    const { rowCount } = await w.query(
      `UPDATE directory_pending SET state = 'new', confirmed_by = $2 WHERE audit_id = $1 AND state = 'held' AND behind IS NULL`,
      [id, ctx.actor],
    );
    if (rowCount === 0) {
      throw new StampyardError("NOT_FOUND", `No batch ${id} of directory changes is held`, {
        mend: "See stampyard status for those that are.",
      });
    }
    // What waited behind it is judged again, by what the directory says then.
    await w.query("UPDATE directory_pending SET state = 'new', behind = NULL, why = NULL WHERE behind = $1", [id]);
    await audit(w, "directory.confirm", "directory", { batch: id, changes: rowCount });
  });
}

function toVersion(row: VersionRow): DirectoryVersionRow {
  const { version, incarnation, chain, change, at } = row;
  const confirmed = row.confirmed_by === null ? {} : { confirmedBy: row.confirmed_by };
  return { version, incarnation, chain, change, at, ...confirmed };
}
