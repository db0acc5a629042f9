import { holdsTablesSql, tablesHeldState } from "./fence-words.ts";
import { literal } from "./sql.ts";

/** A transaction of ours says so by this setting; beside it the role must be allowed to act as `stampyard`. */
export const installsSetting = "stampyard.installs";

/** What changes a table, its keys or its triggers. CREATE TABLE is judged when it ends: only then its schema is known. */
const heldAtStart = [
  ...["ALTER TABLE", "DROP TABLE", "ALTER SCHEMA", "DROP SCHEMA", "DROP OWNED"],
  ...["CREATE INDEX", "ALTER INDEX", "DROP INDEX", "CREATE TRIGGER", "ALTER TRIGGER", "DROP TRIGGER"],
  ...["CREATE RULE", "ALTER RULE", "DROP RULE", "CREATE POLICY", "ALTER POLICY", "DROP POLICY"],
  ...["ALTER TYPE", "DROP TYPE", "ALTER DOMAIN", "DROP DOMAIN"],
];
const heldAtEnd = ["CREATE TABLE", "CREATE TABLE AS", "SELECT INTO", "IMPORT FOREIGN SCHEMA"];

export const ddlTriggerName = "stampyard_ddl_start";
const ddlEndTriggerName = "stampyard_ddl_end";

const isMovingSql = `exists (select from stampyard.tenant_home h where ${holdsTablesSql("h")})`;
const isOursSql = `coalesce(current_setting('${installsSetting}', true), '') = 'on' and pg_has_role(session_user, 'stampyard', 'member')`;

/**
 * Tables stay as they are while a tenant moves: a column more on one side would break the copy, and a table more would be
 * left behind. Refused before any lock is taken, so nobody queues behind it.
 *
 * Whoever may change none of the fenced tables is let through: what the application does to its temporary tables is no
 * business of a move (I20). Only a superuser can make event triggers; without them a move still compares both schemas.
 */
export const ddlSql = `
create or replace function stampyard.fence_ddl() returns event_trigger
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
begin
  if not ${isMovingSql} or (${isOursSql}) then
    return;
  end if;
  if tg_event = 'ddl_command_start' and not exists (
    select from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where t.tgname = 'stampyard_insert' and pg_has_role(session_user, c.relowner, 'member')
  ) then
    return;
  end if;
  if tg_event = 'ddl_command_end' and not exists (
    select from pg_event_trigger_ddl_commands() d
    where d.object_type in ('table', 'foreign table') and not d.in_extension
      and d.schema_name !~ '^(pg_temp|pg_toast|stampyard$)'
  ) then
    return;
  end if;
  raise exception '% has to wait: a tenant moves', tg_tag using errcode = '${tablesHeldState}',
    hint = 'Wait for the end of the move (stampyard move list) or abort it, then repeat.';
end $body$;
alter function stampyard.fence_ddl() owner to stampyard;
revoke all on function stampyard.fence_ddl() from public;
do $body$
begin
  drop event trigger if exists ${ddlTriggerName};
  drop event trigger if exists ${ddlEndTriggerName};
  create event trigger ${ddlTriggerName} on ddl_command_start when tag in (${heldAtStart.map(literal).join(", ")})
    execute function stampyard.fence_ddl();
  create event trigger ${ddlEndTriggerName} on ddl_command_end when tag in (${heldAtEnd.map(literal).join(", ")})
    execute function stampyard.fence_ddl();
exception when insufficient_privilege then
  null;
end $body$;`;

export const dropDdlSql = `
drop event trigger if exists ${ddlTriggerName};
drop event trigger if exists ${ddlEndTriggerName};`;
