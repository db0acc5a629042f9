/** What stamps were measured to carry, a row per stamp, unit and minute, for the 95th percentile of decision D19. */
export const observedLoadSql = `
CREATE TABLE stamp_loads (
  stamp text NOT NULL REFERENCES stamps ON DELETE CASCADE,
  unit text NOT NULL,
  minute timestamptz(3) NOT NULL,
  amount double precision NOT NULL,
  -- Reading of stamp_use.placed at that time.
  placed numeric NOT NULL DEFAULT 0,
  PRIMARY KEY (stamp, unit, minute)
);
CREATE INDEX stamp_loads_minute ON stamp_loads (minute);

-- Over the last hour, written with the newest sample: a placement must not read an hour of every stamp.
CREATE TABLE stamp_load_p95 (
  stamp text NOT NULL REFERENCES stamps ON DELETE CASCADE,
  unit text NOT NULL,
  p95 double precision NOT NULL,
  window_start timestamptz(3) NOT NULL,
  at timestamptz(3) NOT NULL,
  placed_at_start numeric NOT NULL,
  PRIMARY KEY (stamp, unit)
);
`;
