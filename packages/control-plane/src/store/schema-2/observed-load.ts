/** What stamps were measured to carry, a row per stamp, unit and minute, for the 95th percentile of decision D19. */
export const observedLoadSql = `
CREATE TABLE stamp_loads (
  stamp text NOT NULL REFERENCES stamps ON DELETE CASCADE,
  unit text NOT NULL,
  minute timestamptz(3) NOT NULL,
  amount double precision NOT NULL,
  PRIMARY KEY (stamp, unit, minute)
);
`;
