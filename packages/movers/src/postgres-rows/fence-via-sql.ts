import { createHash } from "node:crypto";
import { type FenceMode, type TenantTable, tenantImmutableState, type Write } from "./fence-words.ts";
import { identifier, qualified } from "./sql.ts";
import type { ViaStep } from "./via.ts";

/** A table that gets the fence: its rows name their tenant, or lead to one by foreign keys. */
export interface FenceTable extends TenantTable {
  readonly via?: readonly ViaStep[];
}

/** Function of the triggers of one table's path; another path has another name, so a change of it is seen. */
export function viaFunction(table: FenceTable, mode: FenceMode, write: Write): string {
  const path = JSON.stringify([table.via, table.tenantColumn]);
  const hash = createHash("sha256").update(path).digest("hex").slice(0, 16);
  return `stampyard.${identifier(`${mode}_${write}_via_${hash}`)}`;
}

/** The tenant that a row leads to, read as the writer; null where its path leads nowhere. */
function ownerSql(table: FenceTable, row: "new" | "old"): string {
  const path = table.via ?? [];
  const tables = path.map((step, i) => `${qualified(step.to)} via${i}`);
  const keys = path.flatMap((step, i) =>
    step.columns.map((column, k) => {
      const from = i === 0 ? row : `via${i - 1}`;
      return `via${i}.${identifier(step.toColumns[k] ?? "")} operator(pg_catalog.=) ${from}.${identifier(column)}`;
    }),
  );
  const owner = `via${path.length - 1}.${identifier(table.tenantColumn)}::pg_catalog.text`;
  return `(select ${owner} from ${tables.join(", ")} where ${keys.join(" and ")})`;
}

/**
 * The fence of a row whose tenant stands in another table. A parent never changes its tenant, so reading it in the
 * writer's snapshot is right however old that is.
 * - A row whose parent went first was deleted with it, by a statement that the parent's own fence has judged: its key goes
 *   to every move that captures, and each looks only at its own tenant's rows.
 * - A row that leads nowhere otherwise belongs to nobody, and nobody is at home.
 */
export function viaFunctionSql(table: FenceTable, mode: FenceMode, write: Write): string {
  const name = viaFunction(table, mode, write);
  const row = write === "delete" ? "old" : "new";
  const wasElse = `if was operator(pg_catalog.<>) owner then
    raise exception 'a row of % cannot change its tenant', tg_relid::pg_catalog.regclass
      using errcode = '${tenantImmutableState}', hint = 'Insert the row for the other tenant and delete this one.';
  end if;`;
  return `
create or replace function ${name}() returns trigger language plpgsql volatile security invoker as $body$
declare
  owner pg_catalog.text := ${ownerSql(table, row)};
  was pg_catalog.text := ${write === "update" ? ownerSql(table, "old") : "null"};
begin
  perform from stampyard.tenant_home h where h.tenant operator(pg_catalog.=) owner
    and (was is null or was operator(pg_catalog.=) owner) and h.state operator(pg_catalog.=) 'active' and h.move_id is null
    and (pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed'
      or (select s.last_value from stampyard.move_starts s) operator(pg_catalog.=) (select m.n from stampyard.move_started m));
  if found then
    return null;
  end if;
  ${write === "delete" ? "if owner is null then perform stampyard.fence_orphan(tg_relid, pg_catalog.to_jsonb(old), tg_argv::pg_catalog.text[]); return null; end if;" : ""}
  ${write === "update" && mode === "enforce" ? wasElse : ""}
  perform stampyard.${mode === "enforce" ? "fence_busy" : "fence_note"}(
    owner, tg_relid, ${write === "insert" ? "null" : "pg_catalog.to_jsonb(old)"},
    ${write === "delete" ? "null" : "pg_catalog.to_jsonb(new)"}, tg_argv::pg_catalog.text[]
  );
  return null;
end $body$;
alter function ${name}() owner to stampyard;
revoke all on function ${name}() from public;`;
}

/** See `viaFunctionSql`. As with `fence_busy`, a key that the application makes up is a hint and no more. */
export const orphanSql = `
create or replace function stampyard.fence_orphan(the_relation oid, old_row jsonb, key_columns text[]) returns void
  language sql volatile security definer set search_path = pg_catalog, pg_temp as $body$
  insert into stampyard.move_change (move_id, relation, row_key)
    select h.move_id, the_relation, stampyard.key_of(old_row, key_columns)
    from stampyard.tenant_home h where h.move_id is not null and h.state in ('active', 'deleting');
$body$;
alter function stampyard.fence_orphan(oid, jsonb, text[]) owner to stampyard;
grant execute on function stampyard.fence_orphan(oid, jsonb, text[]) to public;`;
