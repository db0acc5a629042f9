import { type FenceSeen, isFenced, readFence } from "./fence-seen.ts";
import type { FenceTable } from "./fence-via-sql.ts";
import type { FenceMode } from "./fence-words.ts";
import { identifier, qualified, type SqlClient, type TableName } from "./sql.ts";

/** What bringing the fence to a mode would do now. */
export interface FencePlan {
  readonly install: readonly FenceTable[];
  readonly remove: readonly TableName[];
  /** Tenants of the data without a home here: `enforce` is refused while there is any. At most six per table. */
  readonly homeless: readonly (TableName & { readonly tenants: readonly string[] })[];
}

/** Reads only. */
export async function planFence(
  db: SqlClient,
  tables: readonly FenceTable[],
  mode: FenceMode | "off",
): Promise<FencePlan> {
  const seen = await readFence(db);
  if (mode === "off") return { install: [], remove: seen.tables, homeless: [] };
  const wanted = new Set(tables.map(qualified));
  const install = tables.filter((table) => !isFenced(seen, table, mode));
  const remove = seen.tables.filter((table) => !wanted.has(qualified(table)));
  return { install, remove, homeless: mode === "enforce" ? await homelessIn(db, seen, install) : [] };
}

const mostHomeless = 6;

/** Of tables that do not enforce yet: those that do have refused everybody without a home. */
export async function homelessIn(
  db: SqlClient,
  seen: FenceSeen,
  tables: readonly FenceTable[],
): Promise<FencePlan["homeless"]> {
  const enforced = new Set(seen.tables.filter(({ mode }) => mode === "enforce").map(qualified));
  const homeless: (TableName & { tenants: readonly string[] })[] = [];
  for (const { schema, table, tenantColumn, via } of tables) {
    // Rows that lead to a tenant are as homeless as what they lead to.
    if (via !== undefined || enforced.has(qualified({ schema, table }))) continue;
    const column = `t.${identifier(tenantColumn)}::text`;
    const known = seen.hasHomes
      ? `where not exists (select from stampyard.tenant_home h where h.tenant = ${column})`
      : "";
    const { rows } = await db.query(
      `select distinct ${column} as tenant from ${qualified({ schema, table })} t ${known} order by 1 limit ${mostHomeless}`,
    );
    if (rows.length > 0)
      homeless.push({ schema, table, tenants: rows.map((row) => String(row["tenant"] ?? "(none)")) });
  }
  return homeless;
}

/** What `report` has let pass and `enforce` would have refused. */
export interface ReportedWrites extends TableName {
  /** Absent = the row named none. */
  readonly tenant?: string;
  /** Of its home at the last of these writes; absent = it had none. */
  readonly state?: string;
  readonly writes: number;
  /** ISO 8601. */
  readonly latest: string;
}

/** Most first. */
export async function readReport(db: SqlClient, limit = 100): Promise<readonly ReportedWrites[]> {
  const { rows } = await db.query(
    `select jsonb_strip_nulls(jsonb_build_object('schema', n.nspname, 'table', c.relname, 'tenant', r.tenant,
       'state', (array_agg(r.state order by r.seq desc))[1], 'writes', count(*),
       'latest', to_char(max(r.at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))) as line
     from stampyard.fence_report r join pg_class c on c.oid = r.relation join pg_namespace n on n.oid = c.relnamespace
     group by n.nspname, c.relname, r.tenant order by count(*) desc, 1 limit $1`,
    [limit],
  );
  return rows.map((row) => row["line"] as ReportedWrites);
}
