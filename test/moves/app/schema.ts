/**
 * Tables of the application whose history is checked. No key keeps a value from being there twice: that is what the
 * checker looks for.
 */
export const schemaSql = `
create table if not exists lists (
  tenant_id text not null, name text not null, length bigint not null default 0, primary key (tenant_id, name));
create table if not exists entries (
  tenant_id text not null, id uuid not null default gen_random_uuid(), list text not null, value text not null,
  stamp text not null, primary key (tenant_id, id), foreign key (tenant_id, list) references lists);
create index if not exists entries_list on entries (tenant_id, list);
create table if not exists registers (
  tenant_id text not null, name text not null, value text not null, primary key (tenant_id, name));
create table if not exists blobs (
  tenant_id text not null, id uuid not null default gen_random_uuid(), value text not null, stamp text not null,
  body bytea not null, primary key (tenant_id, id));
create table if not exists seats (
  tenant_id text not null, name text not null, body text not null,
  size int generated always as (length(body)) stored, primary key (tenant_id, name));`;

/** Lists of every tenant: the first is the hot one. */
export const listNames = ["hot", "l1", "l2", "l3", "batch", "long"] as const;
