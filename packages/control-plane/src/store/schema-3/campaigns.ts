/** Campaigns of moves, and the plan of each, tenant by tenant. Moves name their campaign. */
export const campaignsSql = `
CREATE TABLE campaigns (
  id text PRIMARY KEY CHECK (id ~ '^cp-[a-z0-9]{1,40}$'),
  number bigint GENERATED ALWAYS AS IDENTITY,
  kind text NOT NULL CHECK (kind IN ('drain', 'rebalance')),
  -- The stamp that is emptied, or the pool that is evened out.
  subject text NOT NULL,
  state jsonb NOT NULL,
  phase text GENERATED ALWAYS AS (state ->> 'kind') STORED,
  settings jsonb NOT NULL,
  deadline timestamptz(3),
  waiting_on text,
  revision bigint NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX campaigns_number ON campaigns (number);
-- The same wish twice is one campaign.
CREATE UNIQUE INDEX campaigns_open ON campaigns (kind, subject) WHERE phase IN ('running', 'paused', 'cancelling');
CREATE INDEX campaigns_subject ON campaigns (subject, number);

CREATE TABLE campaign_items (
  campaign text NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  tenant text NOT NULL,
  -- In the order in which they are to go.
  place integer NOT NULL,
  from_stamp text NOT NULL,
  state jsonb NOT NULL,
  phase text GENERATED ALWAYS AS (state ->> 'kind') STORED,
  PRIMARY KEY (campaign, tenant)
);
CREATE INDEX campaign_items_place ON campaign_items (campaign, place, tenant);
`;
