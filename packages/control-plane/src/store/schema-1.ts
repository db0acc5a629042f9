/**
 * Schema version 1. Times are timestamptz(3), read as milliseconds. What an object *is* (state, weight) is one JSON
 * column; what queries need of it is generated from that column, so that the two can never disagree.
 */
export const schema1 = `
CREATE TABLE meta (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  fleet_id text NOT NULL,
  incarnation bigint NOT NULL,
  mode text NOT NULL CHECK (mode IN ('normal', 'recovering')),
  mode_reason text,
  mode_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO meta (fleet_id, incarnation, mode) VALUES (gen_random_uuid()::text, 1, 'normal');

-- The token is part of a unique key: writers hold the row FOR KEY SHARE, so a renewal passes them and a new token waits.
CREATE TABLE lease (
  name text PRIMARY KEY,
  token bigint NOT NULL,
  holder text,
  expires_at timestamptz(3) NOT NULL,
  acquired_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (name, token)
);
INSERT INTO lease VALUES ('leader', 0, NULL, '2000-01-01Z');

CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  number bigint UNIQUE,
  chain text,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  reason text,
  request_id text,
  detail jsonb NOT NULL
);
CREATE INDEX audit_unnumbered ON audit (id) WHERE number IS NULL;
CREATE INDEX audit_subject ON audit (subject, id);

CREATE TABLE tokens (
  id text PRIMARY KEY,
  name text NOT NULL,
  role text NOT NULL,
  hash bytea NOT NULL UNIQUE,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  created_by text NOT NULL,
  last_used_at timestamptz(3),
  revoked_at timestamptz(3)
);

CREATE TABLE releases (
  id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  digest text PRIMARY KEY,
  version text NOT NULL,
  template jsonb NOT NULL,
  source text NOT NULL,
  source_dir text NOT NULL,
  notes text,
  created_by text NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE fleet (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  fleet jsonb NOT NULL,
  release_digest text NOT NULL REFERENCES releases,
  revision bigint NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE stamps (
  name text PRIMARY KEY,
  pool text NOT NULL,
  region text NOT NULL,
  goal text NOT NULL CHECK (goal IN ('present', 'absent')),
  state jsonb NOT NULL,
  phase text GENERATED ALWAYS AS (state ->> 'kind') STORED,
  release_digest text NOT NULL,
  parameters jsonb NOT NULL,
  stamp_digest text NOT NULL,
  capacity jsonb NOT NULL,
  endpoints jsonb NOT NULL,
  endpoint_revision bigint NOT NULL,
  waiting_on text,
  revision bigint NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX stamps_pool ON stamps (pool);

CREATE TABLE stamp_observations (
  stamp text PRIMARY KEY REFERENCES stamps ON DELETE CASCADE,
  observation jsonb NOT NULL,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

-- Envelope: a data key per stamp, wrapped by the master key named here; secrets and route keys are sealed by the data key.
CREATE TABLE stamp_keys (
  stamp text PRIMARY KEY REFERENCES stamps ON DELETE CASCADE,
  master_key_id text NOT NULL,
  wrapped bytea NOT NULL
);
CREATE TABLE stamp_secrets (
  stamp text NOT NULL REFERENCES stamps ON DELETE CASCADE,
  name text NOT NULL,
  sealed bytea NOT NULL,
  PRIMARY KEY (stamp, name)
);
CREATE TABLE stamp_route_keys (
  stamp text NOT NULL REFERENCES stamps ON DELETE CASCADE,
  kid text NOT NULL,
  sealed bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('current', 'next', 'old')),
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (stamp, kid),
  UNIQUE (stamp, state)
);

-- A home is a name, not a foreign key: a stamp may be destroyed by force under its tenants, and that must stay visible.
CREATE TABLE tenants (
  key text PRIMARY KEY,
  pool text NOT NULL,
  tier text NOT NULL,
  residency text[] NOT NULL,
  weight jsonb NOT NULL,
  places double precision GENERATED ALWAYS AS (coalesce((weight ->> 'tenants')::double precision, 1)) STORED,
  units jsonb GENERATED ALWAYS AS (nullif(weight - 'tenants', '{}'::jsonb)) STORED,
  goal text NOT NULL CHECK (goal IN ('present', 'absent')),
  state jsonb NOT NULL,
  phase text GENERATED ALWAYS AS (state ->> 'kind') STORED,
  retry_at_ms double precision GENERATED ALWAYS AS (coalesce((state ->> 'retryAt')::double precision, 0)) STORED,
  stamp text,
  epoch bigint NOT NULL CHECK (epoch >= 0),
  waiting_on text,
  revision bigint NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX tenants_places ON tenants (stamp) INCLUDE (places) WHERE stamp IS NOT NULL;
CREATE INDEX tenants_units ON tenants (stamp) WHERE units IS NOT NULL;
CREATE INDEX tenants_due ON tenants (retry_at_ms) WHERE phase <> 'active' OR goal = 'absent';
CREATE INDEX tenants_pool ON tenants (pool, key);

CREATE TABLE tenant_hostnames (
  hostname text PRIMARY KEY,
  tenant text NOT NULL REFERENCES tenants ON DELETE CASCADE
);
CREATE INDEX tenant_hostnames_tenant ON tenant_hostnames (tenant);

-- What a key reached before it was gone; a new tenant of that key continues above it (I2).
CREATE TABLE tenant_epochs (
  key text PRIMARY KEY,
  epoch bigint NOT NULL
);

CREATE TABLE tenant_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text NOT NULL,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  event text NOT NULL,
  phase text NOT NULL,
  stamp text,
  epoch bigint NOT NULL,
  actor text NOT NULL,
  detail text
);
CREATE INDEX tenant_events_tenant ON tenant_events (tenant, id);

-- Committed and unnumbered. Rows leave it in the transaction that numbers them, so nothing that commits late is missed.
CREATE TABLE directory_pending (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  entry text NOT NULL,
  change jsonb NOT NULL,
  audit_id bigint NOT NULL,
  state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'open', 'held')),
  why text,
  behind bigint,
  confirmed_by text,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX directory_pending_new ON directory_pending (id) WHERE state = 'new';
CREATE INDEX directory_pending_entry ON directory_pending (entry, id);
CREATE INDEX directory_pending_audit ON directory_pending (audit_id);

CREATE TABLE directory_head (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  version bigint NOT NULL,
  chain text NOT NULL,
  at timestamptz(3),
  confirmed_version bigint NOT NULL,
  audit_number bigint NOT NULL,
  audit_chain text NOT NULL
);
INSERT INTO directory_head VALUES (true, 0, repeat('0', 64), NULL, 0, 0, repeat('0', 64));

CREATE TABLE directory_versions (
  version bigint PRIMARY KEY,
  incarnation bigint NOT NULL,
  chain text NOT NULL,
  change jsonb NOT NULL,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  audit_id bigint NOT NULL,
  confirmed_by text
);

-- The directory at its head. \`rank\` is the order of a snapshot: stamps, routing, tenants.
CREATE TABLE directory_entries (
  rank smallint NOT NULL,
  name text NOT NULL,
  change jsonb NOT NULL,
  stamp text GENERATED ALWAYS AS (CASE WHEN change ->> 'kind' = 'tenant-put' THEN change ->> 'stamp' END) STORED,
  version bigint NOT NULL,
  PRIMARY KEY (rank, name)
);
CREATE INDEX directory_entries_stamp ON directory_entries (stamp) WHERE stamp IS NOT NULL;

CREATE TABLE routers (
  name text PRIMARY KEY,
  incarnation bigint NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 0,
  chain text NOT NULL DEFAULT repeat('0', 64),
  last_seen_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  address text,
  admin text
);

CREATE TABLE idempotency_keys (
  principal text NOT NULL,
  key text NOT NULL,
  request_hash text NOT NULL,
  status integer,
  master_key_id text,
  sealed bytea,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

-- What stamps and routers say while recovering; emptied when it begins and when it ends.
CREATE TABLE recovery_sources (
  source text PRIMARY KEY,
  complete boolean NOT NULL,
  incarnation bigint NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 0
);
CREATE TABLE recovery_claims (
  source text NOT NULL REFERENCES recovery_sources ON DELETE CASCADE,
  tenant text NOT NULL,
  stamp text NOT NULL,
  epoch bigint NOT NULL,
  state text NOT NULL,
  hostnames text[] NOT NULL DEFAULT '{}',
  PRIMARY KEY (source, tenant)
);
CREATE TABLE recovery_decisions (
  tenant text PRIMARY KEY,
  stamp text
);
`;
