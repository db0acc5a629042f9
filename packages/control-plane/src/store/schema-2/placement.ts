/**
 * Reservations and overrides of placement. What tenants take is kept per stamp and unit by triggers, so that no way of
 * giving or taking a place can forget it, neither one of ours nor a restore. Numeric: sums of fractions must come back
 * to zero when the last tenant leaves.
 */
export const placementSql = `
-- Big for the stamp that it was placed on, by the policy of that day.
ALTER TABLE tenants ADD COLUMN big boolean NOT NULL DEFAULT false;

-- What it was for, the counters below answer.
DROP INDEX tenants_units;

-- Narrow, and with room in its pages: a stamp that is being packed is written with every tenant.
CREATE TABLE stamp_use (
  stamp text NOT NULL,
  unit text NOT NULL,
  reserved numeric NOT NULL,
  -- Everything that was ever placed: the difference of two readings is what came between them.
  placed numeric NOT NULL,
  -- Tenants that are big for the stamp; with unit 'tenants' only.
  big bigint NOT NULL,
  PRIMARY KEY (stamp, unit)
) WITH (fillfactor = 25);

INSERT INTO stamp_use (stamp, unit, reserved, placed, big)
SELECT stamp, unit.key, sum(unit.value::numeric), sum(unit.value::numeric), 0
FROM tenants, jsonb_each_text('{"tenants": 1}'::jsonb || weight) AS unit WHERE stamp IS NOT NULL GROUP BY 1, 2;

-- Rows are taken in one order, so that two transactions never wait in a circle.
CREATE FUNCTION count_new_tenants() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
BEGIN
  INSERT INTO stamp_use AS u (stamp, unit, reserved, placed, big)
  SELECT a.stamp, unit.key, sum(unit.value::numeric), sum(unit.value::numeric),
    count(*) FILTER (WHERE a.big AND unit.key = 'tenants')
  FROM added a, jsonb_each_text('{"tenants": 1}'::jsonb || a.weight) AS unit
  WHERE a.stamp IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (stamp, unit) DO UPDATE
    SET reserved = u.reserved + excluded.reserved, placed = u.placed + excluded.placed, big = u.big + excluded.big;
  RETURN NULL;
END
$body$;
CREATE TRIGGER count_new_tenants AFTER INSERT ON tenants REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION count_new_tenants();

CREATE FUNCTION count_changed_tenant() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
BEGIN
  INSERT INTO stamp_use AS u (stamp, unit, reserved, placed, big)
  SELECT stamp, unit, sum(amount), sum(came), sum(CASE WHEN unit = 'tenants' THEN is_big ELSE 0 END)
  FROM (
    SELECT old.stamp, key AS unit, -value::numeric AS amount, 0::numeric AS came, -(old.big::int) AS is_big
    FROM jsonb_each_text('{"tenants": 1}'::jsonb || old.weight) WHERE old.stamp IS NOT NULL
    UNION ALL
    SELECT new.stamp, key, value::numeric, value::numeric, new.big::int
    FROM jsonb_each_text('{"tenants": 1}'::jsonb || new.weight) WHERE new.stamp IS NOT NULL
  ) AS moved GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (stamp, unit) DO UPDATE
    SET reserved = u.reserved + excluded.reserved, placed = u.placed + excluded.placed, big = u.big + excluded.big;
  RETURN NULL;
END
$body$;
CREATE TRIGGER count_changed_tenant AFTER UPDATE ON tenants FOR EACH ROW
  WHEN (old.stamp IS DISTINCT FROM new.stamp OR old.weight IS DISTINCT FROM new.weight OR old.big <> new.big)
  EXECUTE FUNCTION count_changed_tenant();
CREATE TRIGGER count_removed_tenant AFTER DELETE ON tenants FOR EACH ROW
  WHEN (old.stamp IS NOT NULL) EXECUTE FUNCTION count_changed_tenant();

-- An operator's word about one tenant, which may not exist yet. What has expired is not in force.
CREATE TABLE placement_overrides (
  tenant text PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('pin', 'quarantine')),
  stamp text CHECK ((stamp IS NOT NULL) = (kind = 'pin')),
  until timestamptz(3),
  reason text,
  set_by text NOT NULL,
  set_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
`;
