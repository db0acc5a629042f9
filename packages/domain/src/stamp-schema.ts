/**
 * Brings `tenant_home` of an older stamp up to date. It locks nothing where nothing is missing, because every written row
 * of the application reads this table.
 *
 * `watching`: active, and every written key is captured for a way back, but nothing holds the tenant or its writers.
 * `is_way_back`: armed or fenced by the move back that came from such a watch, so its end returns to watching.
 */
export const stampSchemaUpgradeSql = `
do $body$
begin
  if not exists (select from pg_catalog.pg_attribute a
    where a.attrelid = 'stampyard.tenant_home'::pg_catalog.regclass and a.attname = 'is_way_back') then
    alter table stampyard.tenant_home add column if not exists watching boolean not null default false;
    alter table stampyard.tenant_home add column if not exists is_way_back boolean not null default false;
  end if;
  if not exists (select from pg_catalog.pg_constraint c
    where c.conrelid = 'stampyard.tenant_home'::pg_catalog.regclass and c.conname = 'tenant_home_state_check'
      and pg_catalog.pg_get_constraintdef(c.oid) like '%suspended%') then
    alter table stampyard.tenant_home drop constraint if exists tenant_home_state_check;
    alter table stampyard.tenant_home add constraint tenant_home_state_check
      check (state in ('importing', 'active', 'suspended', 'fenced', 'moved', 'deleting'));
  end if;
end $body$;`;

/**
 * What the mover's role needs beside reading and writing rows: to bring rows without firing triggers (PostgreSQL 15 and
 * later can grant it), and to see who holds what it waits for. Skips what the role that runs it may not grant: a move has
 * a way without either.
 */
export const moverGrantsSql = `
do $body$
begin
  if current_setting('server_version_num')::int >= 150000 then
    if not has_parameter_privilege('stampyard_mover', 'session_replication_role', 'SET') then
      execute 'grant set on parameter session_replication_role to stampyard_mover';
    end if;
  end if;
  if not pg_has_role('stampyard_mover', 'pg_read_all_stats', 'member') then
    grant pg_read_all_stats to stampyard_mover;
  end if;
exception when insufficient_privilege then
  null;
end $body$;
do $body$
begin
  if current_setting('server_version_num')::int >= 170000 and not pg_has_role('stampyard_mover', 'pg_maintain', 'member') then
    grant pg_maintain to stampyard_mover;
  end if;
exception when insufficient_privilege then
  null;
end $body$;`;

/**
 * What every stamp's database knows of its tenants: the one decision record of a move (decision D12) and what the
 * guard reads (D6). Owned by a role that cannot log in, so neither the application nor its migrations can edit it (I43).
 * `stampyard_app`, `stampyard_owner` and `stampyard_mover` exist before it runs. Safe to repeat.
 */
export const stampSchemaSql = `
create schema if not exists stampyard authorization stampyard;
create table if not exists stampyard.tenant_home (
  tenant text primary key,
  state text not null check (state in ('importing', 'active', 'suspended', 'fenced', 'moved', 'deleting')),
  epoch bigint not null check (epoch > 0),
  move_id text,
  moved_to text,
  deadline timestamptz,
  changed_at timestamptz not null default clock_timestamp(),
  watching boolean not null default false,
  is_way_back boolean not null default false,
  check ((state = 'fenced') <= (move_id is not null and deadline is not null)),
  check ((state = 'moved') <= (moved_to is not null))
);
alter table stampyard.tenant_home owner to stampyard;${stampSchemaUpgradeSql}
create or replace function stampyard.announce_tenant_home() returns trigger
  language plpgsql volatile security definer set search_path = pg_catalog as $body$
begin
  perform pg_catalog.pg_notify('stampyard_tenant_home', coalesce(new.tenant, old.tenant));
  return null;
end $body$;
alter function stampyard.announce_tenant_home() owner to stampyard;
create or replace trigger announce after insert or update or delete on stampyard.tenant_home
  for each row execute function stampyard.announce_tenant_home();
revoke all on all tables in schema stampyard from public;
revoke all on all functions in schema stampyard from public;
grant usage on schema stampyard to stampyard_app, stampyard_owner, stampyard_mover;
grant select on stampyard.tenant_home to stampyard_app, stampyard_owner;
grant select, insert, update, delete on stampyard.tenant_home to stampyard_mover;
`;

/** Raise when `stampSchemaSql` changes: template clusters are keyed by it. */
export const stampSchemaVersion = 3;
