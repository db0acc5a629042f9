import { moverGrantsSql } from "@stampyard/domain";

/** The application's database in every stamp's cluster. */
export const databaseName = "app";
export const superuser = "postgres";

/**
 * Three roles from the first day (decision D4). The owner runs migrations and owns what they make; the application
 * reads and writes rows and owns nothing, so it can neither alter nor drop a fence (I43); the mover carries tenants.
 * `stampyard` owns our schema and cannot log in. The database itself is the superuser's: its owner could drop it.
 */
export const rolesSql = `
create role stampyard nologin;
create role stampyard_owner login;
create role stampyard_app login;
create role stampyard_mover login bypassrls in role pg_read_all_data, pg_write_all_data;
revoke connect on database postgres, template1 from public;
${moverGrantsSql}
`;

export const databaseSql = `
revoke all on database ${databaseName} from public;
grant connect, temporary, create on database ${databaseName} to stampyard_owner;
grant connect, temporary on database ${databaseName} to stampyard_app;
grant connect on database ${databaseName} to stampyard_mover;
alter schema public owner to stampyard_owner;
grant usage on schema public to stampyard_app, stampyard_mover;
alter default privileges for role stampyard_owner grant usage on schemas to stampyard_app;
alter default privileges for role stampyard_owner grant select, insert, update, delete on tables to stampyard_app;
alter default privileges for role stampyard_owner grant usage, select on sequences to stampyard_app;
create schema stampyard authorization stampyard;
`;

/** Role of each password in a stamp's secrets: `<component>.<secret>`. */
export const roleOfSecret = {
  superPassword: superuser,
  ownerPassword: "stampyard_owner",
  appPassword: "stampyard_app",
  moverPassword: "stampyard_mover",
} as const;
export type RoleSecret = keyof typeof roleOfSecret;
