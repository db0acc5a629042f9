/**
 * What routers count, per stamp. Written all day and worth nothing two hours later: neither audited nor in a backup.
 */
export const evidenceSql = `
-- The newest report of each router, as cumulative counts since it started.
CREATE TABLE router_counts (
  router text PRIMARY KEY,
  life text NOT NULL,
  number bigint NOT NULL,
  counted_at timestamptz(3) NOT NULL,
  received_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  stamps jsonb NOT NULL,
  failing jsonb NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE evidence_watch (
  stamp text PRIMARY KEY,
  until timestamptz(3) NOT NULL
);

CREATE TABLE evidence_buckets (
  stamp text NOT NULL,
  at timestamptz(3) NOT NULL,
  ms integer NOT NULL,
  complete boolean NOT NULL,
  requests bigint NOT NULL,
  errors bigint NOT NULL,
  latency integer[] NOT NULL,
  synthetic bigint NOT NULL,
  PRIMARY KEY (stamp, at)
);
CREATE INDEX evidence_buckets_at ON evidence_buckets (at);
`;
