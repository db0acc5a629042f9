import { createHash } from "node:crypto";
import { moverGrantsSql, stampSchemaUpgradeSql } from "@stampyard/domain";
import { ddlSql, dropDdlSql } from "./fence-ddl-sql.ts";
import { type FenceTable, orphanSql, viaFunction, viaFunctionSql } from "./fence-via-sql.ts";
import {
  atRestSql,
  fenceLockSpace,
  type FenceMode,
  fenceModes,
  holdsTablesSql,
  notWritableState,
  tablesHeldState,
  tenantImmutableState,
  type Write,
  writes,
} from "./fence-words.ts";
import { identifier, literal, qualified, type TableName } from "./sql.ts";

/**
 * Tables and functions of the fence, owned by `stampyard`, which cannot log in (I43). Safe to repeat; `tenant_home` is
 * there before.
 *
 * At rest the fence takes no lock of ours: one read of the tenant's row per written row. Why that is enough is in
 * docs/decisions/0012-the-decision-record-of-a-move.md.
 */
export function fenceObjectsSql(tables: readonly FenceTable[]): string {
  const functions = new Map(
    tables.flatMap((table) =>
      fenceModes.flatMap((mode) =>
        writes.map((write) => [functionOf(table, mode, write), functionSql(table, mode, write)] as const),
      ),
    ),
  );
  const version = `comment on function stampyard.fence_busy(text, oid, jsonb, jsonb, text[]) is ${literal(fenceVersion())};`;
  return [fixedSql(), ...functions.values(), version].join("\n");
}

function fixedSql(): string {
  const objects = [changeTableSql, busySql, reportSql, orphanSql, truncateSql, ddlSql];
  return [stampSchemaUpgradeSql, moverGrantsSql, ...objects].join("\n");
}

/** Digest of everything that `fenceObjectsSql` writes but the names of tables and columns: what is installed has it too. */
export function fenceVersion(): string {
  const own = { schema: "s", table: "t", tenantColumn: "c", key: [] };
  const led = { ...own, via: [{ columns: ["c"], to: own, toColumns: ["c"] }] };
  const all = [own, led].flatMap((table) =>
    fenceModes.flatMap((mode) => writes.map((write) => functionSql(table, mode, write))),
  );
  return createHash("sha256")
    .update([fixedSql(), ...all].join("\n"))
    .digest("hex")
    .slice(0, 16);
}

/**
 * `move_change`: keys captured on a source. `move_copied`, `move_verified`: how far a copy and its comparison came, on a
 * target, where `move_brought` has the keys (`schema.table` and key) that rounds brought since the comparison began.
 */
const changeTableSql = `
create table if not exists stampyard.move_change (
  seq bigint generated always as identity primary key,
  move_id text not null,
  relation oid not null,
  row_key jsonb not null
);
alter table stampyard.move_change owner to stampyard;
create index if not exists move_change_move on stampyard.move_change (move_id, seq);
create table if not exists stampyard.fence_report (
  seq bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  relation oid not null,
  tenant text,
  state text
);
alter table stampyard.fence_report owner to stampyard;
create table if not exists stampyard.move_copied (
  move_id text primary key,
  position jsonb not null
);
alter table stampyard.move_copied owner to stampyard;
create table if not exists stampyard.move_brought (
  seq bigint generated always as identity primary key,
  move_id text not null,
  relation text not null,
  row_key jsonb not null
);
alter table stampyard.move_brought owner to stampyard;
create index if not exists move_brought_move on stampyard.move_brought (move_id, seq);
create table if not exists stampyard.move_verified (
  move_id text primary key,
  position jsonb not null
);
alter table stampyard.move_verified owner to stampyard;
create sequence if not exists stampyard.move_starts;
alter sequence stampyard.move_starts owner to stampyard;
create table if not exists stampyard.move_started (
  only_row boolean primary key default true check (only_row),
  n bigint not null
);
alter table stampyard.move_started owner to stampyard;
insert into stampyard.move_started (n) select last_value from stampyard.move_starts on conflict do nothing;
create index if not exists tenant_home_moves on stampyard.tenant_home (tenant) where move_id is not null;
revoke all on stampyard.move_change, stampyard.move_copied, stampyard.move_brought, stampyard.move_verified,
  stampyard.fence_report, stampyard.move_started from public;
grant select, insert, update, delete on stampyard.move_copied, stampyard.move_brought, stampyard.move_verified
  to stampyard_mover;
grant select, delete on stampyard.move_change, stampyard.fence_report to stampyard_mover;
grant select on stampyard.move_started to public;
grant select on sequence stampyard.move_starts to public;
grant update on stampyard.move_started to stampyard_mover;
grant update on sequence stampyard.move_starts to stampyard_mover;`;

/**
 * Says that a move begins, for transactions whose snapshot is older: they cannot see its row, but a sequence has no
 * snapshots. Below the number that the row shows it would lie, so it is always lifted above both.
 */
export const announceMoveSql = `
with starts as (
  select setval('stampyard.move_starts', greatest(s.last_value, m.n) + 1) as n
  from stampyard.move_starts s, stampyard.move_started m
)
update stampyard.move_started m set n = starts.n from starts`;

/**
 * What a write meets when its tenant is not simply at home: a move, a fence, or no home at all.
 * - Watched (active, kept for a way back): its key is written down, and nothing else. No lock of ours is taken.
 * - Armed (active with a move): the shared lock makes the write part of the move, and its key is written down. The
 *   state is read again under the lock, because the fence may have closed while we waited for it.
 * - Fenced after its deadline: the first writer opens it again (D12), or a way back to watching. The same row decides
 *   against a flip.
 * - Deleting: the application may delete, which its own hook is there to do, and nothing else.
 * - The mover itself may write what it brings or erases; `session_user` cannot be feigned by the application.
 *
 * A transaction that keeps its snapshot reads homes as they were, and `FOR SHARE` fails (40001) when the row has changed
 * since. It is asked for under the lock, and where a move has begun since the snapshot; not more often, because sharers
 * that follow one another hold up every update of the row.
 *
 * The application may call it, because its own triggers run as the application. That gives it nothing: a key written
 * down is a hint to copy that row as it is, and everything else it could have had by a write.
 */
const busySql = `
create or replace function stampyard.fence_busy(
  the_tenant text, the_relation oid, old_row jsonb, new_row jsonb, key_columns text[]
) returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
declare
  home record;
  keeps_snapshot boolean := current_setting('transaction_isolation') in ('repeatable read', 'serializable');
  is_stale boolean := keeps_snapshot and (select s.last_value <> m.n from stampyard.move_starts s, stampyard.move_started m);
  attempt integer;
begin
  for attempt in 1..3 loop
    select h.* into home from stampyard.tenant_home h where h.tenant = the_tenant;
    if is_stale and home.state = 'active' and (home.move_id is null or home.watching) then
      select h.* into home from stampyard.tenant_home h where h.tenant = the_tenant for share;
    end if;
    if home.state = 'active' and home.move_id is null then
      return;
    elsif home.state = 'active' then
      if not home.watching then
        perform pg_advisory_xact_lock_shared(${fenceLockSpace}, hashtext(the_tenant));
        if keeps_snapshot then
          select h.* into home from stampyard.tenant_home h where h.tenant = the_tenant for share;
        else
          select h.* into home from stampyard.tenant_home h where h.tenant = the_tenant;
        end if;
      end if;
      if home.state = 'active' and home.move_id is not null then
        insert into stampyard.move_change (move_id, relation, row_key)
          select distinct home.move_id, the_relation, stampyard.key_of(r, key_columns)
          from unnest(array[old_row, new_row]) as r where r is not null;
        return;
      end if;
    elsif home.state = 'fenced' and home.deadline <= clock_timestamp() then
      update stampyard.tenant_home h
        set state = 'active', deadline = null, changed_at = clock_timestamp(), ${atRestSql("h")}
        where h.tenant = the_tenant and h.state = 'fenced' and h.move_id = home.move_id
          and h.deadline <= clock_timestamp();
      if found and not home.is_way_back then
        return;
      end if;
    else
      exit;
    end if;
  end loop;
  if home.state = 'deleting' and new_row is null then
    return;
  end if;
  if home.state in ('importing', 'moved', 'deleting')
    and pg_has_role(session_user, 'stampyard_mover', 'member') then
    return;
  end if;
  raise exception 'tenant % is not writable here (%)', coalesce(the_tenant, 'unnamed'), coalesce(home.state, 'unknown')
    using errcode = '${notWritableState}', detail = coalesce(home.moved_to, ''),
      hint = 'Ask for the tenant''s home again, then repeat the transaction.';
end $body$;
alter function stampyard.fence_busy(text, oid, jsonb, jsonb, text[]) owner to stampyard;
create or replace function stampyard.key_of(the_row jsonb, key_columns text[]) returns jsonb
  language sql immutable set search_path = pg_catalog, pg_temp
  return (select jsonb_object_agg(c, the_row -> c) from unnest(key_columns) as c);
alter function stampyard.key_of(jsonb, text[]) owner to stampyard;
grant execute on function stampyard.fence_busy(text, oid, jsonb, jsonb, text[]) to public;
revoke all on function stampyard.key_of(jsonb, text[]) from public;`;

/** Lets pass what `enforce` refuses, and writes it down. */
const reportSql = `
create or replace function stampyard.fence_note(
  the_tenant text, the_relation oid, old_row jsonb, new_row jsonb, key_columns text[]
) returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
begin
  perform stampyard.fence_busy(the_tenant, the_relation, old_row, new_row, key_columns);
exception when sqlstate '${notWritableState}' then
  insert into stampyard.fence_report (relation, tenant, state)
    values (the_relation, the_tenant, (select h.state from stampyard.tenant_home h where h.tenant = the_tenant));
end $body$;
alter function stampyard.fence_note(text, oid, jsonb, jsonb, text[]) owner to stampyard;
grant execute on function stampyard.fence_note(text, oid, jsonb, jsonb, text[]) to public;`;

/** Function that a table's trigger calls. */
export function functionOf(table: FenceTable, mode: FenceMode, write: Write): string {
  return table.via === undefined ? writeFunction(table.tenantColumn, mode, write) : viaFunction(table, mode, write);
}

function functionSql(table: FenceTable, mode: FenceMode, write: Write): string {
  if (table.via !== undefined) return viaFunctionSql(table, mode, write);
  return writeFunctionSql(table.tenantColumn, mode, write);
}

/**
 * What runs for every written row: one question, asked as the writer and without a SET clause, because both would cost
 * more than the question. Every name in it is written with its schema, operators too, so no search_path can put another in
 * its place.
 *
 * A transaction that keeps its snapshot sees homes as they were when it began. It may believe them while no move has
 * begun since: see `announceMoveSql`.
 */
function writeFunctionSql(column: string, mode: FenceMode, write: Write): string {
  const name = writeFunction(column, mode, write);
  const of = (row: "new" | "old") => `${row}.${identifier(column)}::pg_catalog.text`;
  const tenant = of(write === "delete" ? "old" : "new");
  const stays = write === "update" ? `and ${of("old")} operator(pg_catalog.=) ${tenant}` : "";
  const atHome = `perform from stampyard.tenant_home h where h.tenant operator(pg_catalog.=) ${tenant} ${stays}
    and h.state operator(pg_catalog.=) 'active' and h.move_id is null and`;
  const changed = `if ${of("old")} operator(pg_catalog.<>) ${tenant} then
    raise exception 'a row of % cannot change its tenant', tg_relid::pg_catalog.regclass
      using errcode = '${tenantImmutableState}', hint = 'Insert the row for the other tenant and delete this one.';
  end if;`;
  return `
create or replace function ${name}() returns trigger language plpgsql volatile security invoker as $body$
begin
  ${atHome} pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed';
  if found then
    return null;
  end if;
  ${atHome} (select s.last_value from stampyard.move_starts s)
    operator(pg_catalog.=) (select m.n from stampyard.move_started m);
  if found then
    return null;
  end if;
  ${write === "update" && mode === "enforce" ? changed : ""}
  perform stampyard.${mode === "enforce" ? "fence_busy" : "fence_note"}(
    ${tenant}, tg_relid, ${write === "insert" ? "null" : "pg_catalog.to_jsonb(old)"},
    ${write === "delete" ? "null" : "pg_catalog.to_jsonb(new)"}, tg_argv::pg_catalog.text[]
  );
  return null;
end $body$;
alter function ${name}() owner to stampyard;
revoke all on function ${name}() from public;`;
}

/** One per tenant column, mode and kind of write. */
function writeFunction(column: string, mode: FenceMode, write: Write): string {
  return `stampyard.${identifier(`${mode}_${write}_${column}`)}`;
}

/** TRUNCATE fires no row trigger, and would take the rows of a tenant that is on its way. */
const truncateSql = `
create or replace function stampyard.fence_truncate() returns trigger
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
begin
  if exists (select from stampyard.tenant_home h where ${holdsTablesSql("h")}) then
    raise exception 'table % cannot be truncated while a tenant moves', tg_relid::regclass
      using errcode = '${tablesHeldState}', hint = 'Wait for the end of the move, or abort it.';
  end if;
  return null;
end $body$;
alter function stampyard.fence_truncate() owner to stampyard;
revoke all on function stampyard.fence_truncate() from public;`;

const triggerNames = ["stampyard_insert", "stampyard_update", "stampyard_delete", "stampyard_truncate"] as const;

/** Puts the fence on one table, or changes its mode. The lock it needs waits for writers, and writers for it. */
export function fenceTableSql(table: FenceTable, mode: FenceMode): string {
  const on = qualified(table);
  const key = table.key.map(literal).join(", ");
  const rows = writes.map(
    (write) => `create or replace trigger stampyard_${write} after ${write} on ${on}
  for each row execute function ${functionOf(table, mode, write)}(${key});`,
  );
  return `${rows.join("\n")}
create or replace trigger stampyard_truncate before truncate on ${on}
  for each statement execute function stampyard.fence_truncate();`;
}

export function unfenceTableSql(table: TableName): string {
  return triggerNames.map((name) => `drop trigger if exists ${name} on ${qualified(table)};`).join("\n");
}

/** Everything of the fence but the homes, which are the application's memory of who lives here. */
export const dropFenceObjectsSql = `${dropDdlSql}
do $body$
declare f record;
begin
  for f in
    select p.oid::regprocedure as signature from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'stampyard' and p.proname ~ '^(fence_|enforce_|report_|key_of$)'
  loop
    execute format('drop function %s', f.signature);
  end loop;
end $body$;
drop table if exists stampyard.move_change, stampyard.move_copied, stampyard.move_brought, stampyard.move_verified,
  stampyard.fence_report, stampyard.move_started;
drop sequence if exists stampyard.move_starts;
drop index if exists stampyard.tenant_home_moves;`;
