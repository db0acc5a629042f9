/** Whom we tell of rollouts, and what is still to be told. A secret is sealed by the master key that is named. */
export const webhooksSql = `
CREATE TABLE webhooks (
  id text PRIMARY KEY CHECK (id ~ '^wh-[a-z0-9]{1,40}$'),
  url text NOT NULL,
  events text[] NOT NULL CHECK (events <> '{}'),
  disabled boolean NOT NULL DEFAULT false,
  master_key_id text NOT NULL,
  sealed bytea NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE webhook_messages (
  id text PRIMARY KEY,
  number bigint GENERATED ALWAYS AS IDENTITY,
  webhook text NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  event text NOT NULL,
  body text NOT NULL,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  attempt integer NOT NULL DEFAULT 0,
  retry_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given-up')),
  outcome text
);
CREATE INDEX webhook_messages_webhook ON webhook_messages (webhook, number);
CREATE INDEX webhook_messages_due ON webhook_messages (retry_at) WHERE state = 'waiting';
CREATE INDEX webhook_messages_at ON webhook_messages (at);
`;
