/** Releases with their files, what a fleet is to become, and how releases go over it. */
export const rolloutsSql = `
-- Digest of the files that its components run from.
ALTER TABLE releases ADD COLUMN content text;

-- Parameters that a stamp was given for itself, which stay when its pool's change. Absent of those from before.
ALTER TABLE stamps ADD COLUMN own_parameters jsonb;

-- Routing rules by their digest, as long as somebody names them. The number says which are newer.
CREATE TABLE routing_rules (
  digest text PRIMARY KEY,
  number bigint GENERATED ALWAYS AS IDENTITY,
  rules jsonb NOT NULL
);
-- Rules that hold for tenants of this stamp, where those are not the fleet's.
ALTER TABLE stamps ADD COLUMN routing_digest text REFERENCES routing_rules;

-- A fleet as it is wanted, from the revision that asked for it until a rollout has made it true.
CREATE TABLE fleet_goals (
  revision bigint PRIMARY KEY,
  fleet jsonb NOT NULL,
  release_digest text NOT NULL REFERENCES releases,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE rollouts (
  id text PRIMARY KEY CHECK (id ~ '^ro-[a-z0-9]{1,40}$'),
  number bigint GENERATED ALWAYS AS IDENTITY,
  release_digest text NOT NULL REFERENCES releases,
  -- Empty = every part of the stamp.
  components text[] NOT NULL,
  strategy jsonb NOT NULL,
  waves jsonb NOT NULL,
  state jsonb NOT NULL,
  phase text GENERATED ALWAYS AS (state ->> 'kind') STORED,
  hotfix boolean NOT NULL,
  undoes text,
  overrides_freeze text,
  reason text,
  started_by text NOT NULL,
  fleet_revision bigint REFERENCES fleet_goals,
  spent jsonb NOT NULL DEFAULT '{"activeMs": 0, "bakingMs": 0, "waitingMs": 0}',
  looks integer NOT NULL DEFAULT 0 CHECK (looks >= 0),
  hooks_done text[] NOT NULL DEFAULT '{}',
  gate jsonb,
  waiting_on text,
  -- What the fleet was when it was done, for its undoing: {fleet, release}.
  before jsonb,
  revision bigint NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX rollouts_number ON rollouts (number);
CREATE INDEX rollouts_open ON rollouts (number) WHERE phase NOT IN ('aborted', 'done', 'superseded');
CREATE INDEX rollouts_release ON rollouts (release_digest, number);

-- A stamp is a name, not a foreign key: what it ran is still told when it is gone.
CREATE TABLE rollout_members (
  rollout text NOT NULL REFERENCES rollouts ON DELETE CASCADE,
  stamp text NOT NULL,
  wave integer NOT NULL CHECK (wave >= 0),
  place integer NOT NULL,
  from_aim jsonb NOT NULL,
  to_aim jsonb NOT NULL,
  state jsonb NOT NULL,
  phase text GENERATED ALWAYS AS (state ->> 'kind') STORED,
  PRIMARY KEY (rollout, stamp)
);
CREATE INDEX rollout_members_place ON rollout_members (rollout, wave, place, stamp);
CREATE INDEX rollout_members_stamp ON rollout_members (stamp);
`;
