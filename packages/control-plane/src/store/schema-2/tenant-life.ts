/** Suspension and offboarding of tenants. */
export const tenantLifeSql = `
ALTER TABLE tenants DROP CONSTRAINT tenants_goal_check;
ALTER TABLE tenants ADD CONSTRAINT tenants_goal_check CHECK (goal IN ('present', 'suspended', 'absent'));
-- Who stopped it, why and when: {by, reason, at}.
ALTER TABLE tenants ADD COLUMN suspension jsonb CHECK ((suspension IS NULL) <= (goal <> 'suspended'));
ALTER TABLE tenants ADD COLUMN tenancy text CHECK (tenancy IN ('shared', 'dedicated'));
ALTER TABLE tenants ADD COLUMN channel text;
DROP INDEX tenants_due;
CREATE INDEX tenants_due ON tenants (retry_at_ms)
  WHERE NOT ((phase = 'active' AND goal = 'present') OR (phase = 'suspended' AND goal = 'suspended'));
`;
