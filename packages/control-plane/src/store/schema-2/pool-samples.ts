/** What pools carried, every few minutes: the growth that the next stamp is ordered by. */
export const poolSamplesSql = `
CREATE TABLE pool_samples (
  pool text NOT NULL,
  at timestamptz(3) NOT NULL,
  used jsonb NOT NULL,
  PRIMARY KEY (pool, at)
);

-- Few wait, and a pool asks for them every second.
CREATE INDEX tenants_waiting ON tenants (pool, created_at) WHERE stamp IS NULL;
`;
