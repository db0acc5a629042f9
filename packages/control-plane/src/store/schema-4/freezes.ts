/** What must not change for now, and which stamp stays on what it runs. */
export const freezesSql = `
CREATE TABLE freezes (
  id text PRIMARY KEY CHECK (id ~ '^fz-[a-z0-9]{1,40}$'),
  scope jsonb NOT NULL,
  stops text[] NOT NULL CHECK (stops <> '{}'),
  reason text NOT NULL,
  started_by text NOT NULL,
  since timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  until timestamptz(3),
  -- Kept for a day, so that ending it twice is no error.
  ended_at timestamptz(3)
);

CREATE TABLE pins (
  kind text NOT NULL CHECK (kind IN ('stamp', 'tenant')),
  name text NOT NULL,
  release_digest text REFERENCES releases,
  until timestamptz(3) NOT NULL,
  reason text NOT NULL,
  set_by text NOT NULL,
  since timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (kind, name)
);
`;
