import { identifier, literal, qualified, type TableName } from "./sql.ts";

/** A table whose rows belong to tenants. */
export interface TenantTable extends TableName {
  /** Column that holds the tenant's key. */
  readonly tenantColumn: string;
  /** Columns of the key that tells one row from all others; capture writes them down. */
  readonly key: readonly string[];
}

/** `report` lets every write pass and writes down what `enforce` would refuse. */
export type FenceMode = "report" | "enforce";

/** Key space of our advisory locks; the second half is the tenant's hash. */
export const fenceLockSpace = 620_512;

/** More moves than these at once in one database are refused, so that a transaction's locks of ours are bounded (I44). */
export const mostMovesAtOnce = 16;

/** Raised when a tenant's rows may not be written here; DETAIL names the stamp it moved to. */
export const notWritableState = "SY001";
/** A row cannot change its tenant. */
export const tenantImmutableState = "SY002";
/** TRUNCATE and changes of tables wait for the end of a move. */
export const tablesHeldState = "SY003";

/**
 * Tables and functions of the fence, owned by `stampyard`, which cannot log in (I43). Safe to repeat; `tenant_home` is
 * there before.
 *
 * At rest the fence takes no lock of ours: one read of the tenant's row per written row. Only a tenant whose move is
 * armed costs more. Why that is enough is in docs/decisions/d12-the-fence-at-rest.md.
 */
export function fenceObjectsSql(tenantColumns: readonly string[]): string {
  return [changeTableSql, busySql, reportSql, truncateSql, ...columnsOf(tenantColumns).map(triggersOf)].join("\n");
}

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
create sequence if not exists stampyard.move_starts;
alter sequence stampyard.move_starts owner to stampyard;
create table if not exists stampyard.move_started (
  only_row boolean primary key default true check (only_row),
  n bigint not null
);
alter table stampyard.move_started owner to stampyard;
insert into stampyard.move_started (n) select last_value from stampyard.move_starts on conflict do nothing;
create index if not exists tenant_home_moves on stampyard.tenant_home (tenant) where move_id is not null;
revoke all on stampyard.move_change, stampyard.fence_report, stampyard.move_started from public;
grant select, delete on stampyard.move_change, stampyard.fence_report to stampyard_mover;
grant select, update on stampyard.move_started to stampyard_mover;
grant select, update on sequence stampyard.move_starts to stampyard_mover;`;

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
 * - Armed (active with a move): the shared lock makes the write part of the move, and its key is written down. The
 *   state is read again under the lock, because the fence may have closed while we waited for it.
 * - Fenced after its deadline: the first writer opens it again (D12). The same row decides against a flip.
 * - The mover itself may write what it brings or erases; \`session_user\` cannot be feigned by the application.
 */
const busySql = `
create or replace function stampyard.fence_busy(
  the_tenant text, the_relation oid, old_row jsonb, new_row jsonb, key_columns text[]
) returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
declare
  home record;
  keeps_snapshot boolean := current_setting('transaction_isolation') in ('repeatable read', 'serializable');
  attempt integer;
begin
  for attempt in 1..3 loop
    if keeps_snapshot then
      select h.* into home from stampyard.tenant_home h where h.tenant = the_tenant for share;
    else
      select h.* into home from stampyard.tenant_home h where h.tenant = the_tenant;
    end if;
    if home.state = 'active' and home.move_id is null then
      return;
    elsif home.state = 'active' then
      perform pg_advisory_xact_lock_shared(${fenceLockSpace}, hashtext(the_tenant));
      if keeps_snapshot then
        select h.* into home from stampyard.tenant_home h where h.tenant = the_tenant for share;
      else
        select h.* into home from stampyard.tenant_home h where h.tenant = the_tenant;
      end if;
      if home.state = 'active' and home.move_id is not null then
        insert into stampyard.move_change (move_id, relation, row_key)
          select distinct home.move_id, the_relation, stampyard.key_of(r, key_columns)
          from unnest(array[old_row, new_row]) as r where r is not null;
        return;
      end if;
    elsif home.state = 'fenced' and home.deadline <= clock_timestamp() then
      update stampyard.tenant_home h
        set state = 'active', move_id = null, deadline = null, changed_at = clock_timestamp()
        where h.tenant = the_tenant and h.state = 'fenced' and h.move_id = home.move_id
          and h.deadline <= clock_timestamp();
      if found then
        return;
      end if;
    else
      exit;
    end if;
  end loop;
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
revoke all on function stampyard.fence_busy(text, oid, jsonb, jsonb, text[]), stampyard.key_of(jsonb, text[]) from public;`;

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
revoke all on function stampyard.fence_note(text, oid, jsonb, jsonb, text[]) from public;`;

/** TRUNCATE fires no row trigger, and would take the rows of a tenant that is on its way. */
const truncateSql = `
create or replace function stampyard.fence_truncate() returns trigger
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
begin
  if exists (select from stampyard.tenant_home h where h.move_id is not null and h.state <> 'moved') then
    raise exception 'table % cannot be truncated while a tenant moves', tg_relid::regclass
      using errcode = '${tablesHeldState}', hint = 'Wait for the end of the move, or abort it.';
  end if;
  return null;
end $body$;
alter function stampyard.fence_truncate() owner to stampyard;
revoke all on function stampyard.fence_truncate() from public;`;

/**
 * The row triggers of one tenant column. A transaction that keeps its snapshot sees homes as they were when it began; it
 * may believe them while no move has begun since, and else takes the row as it is now or fails with 40001. They carry no SET clause, which would cost as much as the check itself, so
 * every name in them is written with its schema, operators too: no search_path can put another in its place.
 */
function triggersOf(column: string): string {
  return triggerFunction(column, "enforce", "fence_busy") + triggerFunction(column, "report", "fence_note");
}

function triggerFunction(column: string, mode: FenceMode, busy: string): string {
  const field = identifier(column);
  const name = rowFunction(column, mode);
  return `
create or replace function ${name}() returns trigger language plpgsql volatile security definer as $body$
declare
  the_tenant pg_catalog.text;
  the_state pg_catalog.text;
  the_move pg_catalog.text;
begin
  if tg_op operator(pg_catalog.=) 'DELETE' then
    the_tenant := old.${field}::pg_catalog.text;
  else
    the_tenant := new.${field}::pg_catalog.text;
  end if;
  if pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.~~) 'read%'
    or (select s.last_value from stampyard.move_starts s) operator(pg_catalog.=)
      (select m.n from stampyard.move_started m) then
    select h.state, h.move_id into the_state, the_move
      from stampyard.tenant_home h where h.tenant operator(pg_catalog.=) the_tenant;
  else
    select h.state, h.move_id into the_state, the_move
      from stampyard.tenant_home h where h.tenant operator(pg_catalog.=) the_tenant for share;
  end if;
  if tg_op operator(pg_catalog.=) 'UPDATE' then
    if new.${field}::pg_catalog.text operator(pg_catalog.<>) old.${field}::pg_catalog.text then
      ${refuseNewTenant(mode)}
    end if;
  end if;
  if the_state operator(pg_catalog.=) 'active' and the_move is null then
    return null;
  end if;
  perform stampyard.${busy}(
    the_tenant, tg_relid,
    case when tg_op operator(pg_catalog.<>) 'INSERT' then pg_catalog.to_jsonb(old) end,
    case when tg_op operator(pg_catalog.<>) 'DELETE' then pg_catalog.to_jsonb(new) end,
    tg_argv::pg_catalog.text[]
  );
  return null;
end $body$;
alter function ${name}() owner to stampyard;
revoke all on function ${name}() from public;`;
}

function refuseNewTenant(mode: FenceMode): string {
  if (mode === "report") return "perform stampyard.fence_note(null, tg_relid, null, null, null);";
  return `raise exception 'a row cannot change its tenant' using errcode = '${tenantImmutableState}',
        hint = 'Insert the row for the other tenant and delete this one.';`;
}

/** Function that a table's triggers call; one per tenant column and mode. */
export function rowFunction(column: string, mode: FenceMode): string {
  return `stampyard.${identifier(`${mode}_${column}`)}`;
}

export const rowTrigger = "stampyard_fence";
export const truncateTrigger = "stampyard_fence_truncate";

/** Puts the fence on one table, or changes its mode. The lock it needs waits for writers, and writers for it. */
export function fenceTableSql(table: TenantTable, mode: FenceMode): string {
  const on = qualified(table);
  const key = table.key.map(literal).join(", ");
  return `
create or replace trigger ${rowTrigger} after insert or update or delete on ${on}
  for each row execute function ${rowFunction(table.tenantColumn, mode)}(${key});
create or replace trigger ${truncateTrigger} before truncate on ${on}
  for each statement execute function stampyard.fence_truncate();`;
}

export function unfenceTableSql(table: TableName): string {
  const on = qualified(table);
  return `drop trigger if exists ${rowTrigger} on ${on}; drop trigger if exists ${truncateTrigger} on ${on};`;
}

/** Everything of the fence but the homes, which are the application's memory of who lives here. */
export const dropFenceObjectsSql = `
do $body$
declare f record;
begin
  for f in
    select p.oid::regprocedure as signature from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'stampyard' and p.proname ~ '^(enforce_|report_|fence_|key_of$)'
  loop
    execute format('drop function %s', f.signature);
  end loop;
end $body$;
drop table if exists stampyard.move_change, stampyard.fence_report, stampyard.move_started;
drop sequence if exists stampyard.move_starts;
drop index if exists stampyard.tenant_home_moves;`;

function columnsOf(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort();
}
