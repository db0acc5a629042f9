-- Every key starts with the tenant, and every foreign key carries it, so a row can never point into another tenant's
-- data and one tenant's rows can be found, copied and erased by their keys alone. Ids are uuids: no sequence has to be
-- kept apart between stamps.

-- The root of a tenant's rows. All other tables hang on it, so locking this one row stops every insert of the tenant.
create table if not exists accounts (
  tenant_id text not null,
  name text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id)
);

create table if not exists users (
  tenant_id text not null references accounts,
  id uuid not null default uuidv7(),
  name text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);

create table if not exists notebooks (
  tenant_id text not null references accounts,
  id uuid not null default uuidv7(),
  name text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
