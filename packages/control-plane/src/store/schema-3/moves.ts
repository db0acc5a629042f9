/**
 * Moves of tenants, and the places they hold. What a place takes is kept in `stamp_use` by triggers, as that of tenants
 * is, so that placement sees it from the transaction that reserves it on (I32); `placed` counts homes only.
 */
export const movesSql = `
CREATE TABLE moves (
  id text PRIMARY KEY CHECK (id ~ '^[a-z0-9-]{1,64}$'),
  number bigint GENERATED ALWAYS AS IDENTITY,
  tenant text NOT NULL,
  from_stamp text NOT NULL,
  to_stamp text NOT NULL CHECK (to_stamp <> from_stamp),
  epoch bigint NOT NULL CHECK (epoch > 0),
  mode text NOT NULL,
  verify text NOT NULL,
  goal text NOT NULL CHECK (goal IN ('finish', 'abort')),
  state jsonb NOT NULL,
  phase text GENERATED ALWAYS AS (state ->> 'kind') STORED,
  max_pause_ms integer NOT NULL,
  rest_ms bigint NOT NULL,
  returns text,
  campaign text,
  accepted boolean NOT NULL DEFAULT false,
  setback jsonb,
  waiting_on text,
  report jsonb NOT NULL DEFAULT '{}',
  due_at_ms double precision GENERATED ALWAYS AS (greatest(
    coalesce((setback ->> 'retryAt')::double precision, 0), coalesce((state ->> 'until')::double precision, 0))) STORED,
  revision bigint NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX moves_number ON moves (number);
-- A tenant has one home at a time, so one move at a time.
CREATE UNIQUE INDEX moves_moving ON moves (tenant)
  WHERE phase IN ('requested', 'checking', 'copying', 'switching', 'opening', 'aborting');
CREATE INDEX moves_tenant ON moves (tenant, number);
CREATE INDEX moves_from ON moves (from_stamp, number);
CREATE INDEX moves_to ON moves (to_stamp, number);
CREATE INDEX moves_campaign ON moves (campaign, number) WHERE campaign IS NOT NULL;
CREATE INDEX moves_returns ON moves (returns) WHERE returns IS NOT NULL;
CREATE INDEX moves_due ON moves (due_at_ms) WHERE phase NOT IN ('done', 'aborted', 'returned');

-- What is taken beside the homes of tenants: on the way in until it has landed, and the way back from then on.
CREATE TABLE move_places (
  move_id text PRIMARY KEY REFERENCES moves,
  stamp text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('incoming', 'way-back')),
  weight jsonb NOT NULL,
  big boolean NOT NULL,
  -- The stamp was nobody's before; nobody's it will be again when the place is given back.
  claimed boolean NOT NULL DEFAULT false
);
CREATE INDEX move_places_stamp ON move_places (stamp);

-- Rows of the counters are taken in one order, so that two transactions never wait in a circle.
CREATE FUNCTION count_move_place() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
BEGIN
  INSERT INTO stamp_use AS u (stamp, unit, reserved, placed, big)
  SELECT stamp, unit, sum(amount), 0, sum(CASE WHEN unit = 'tenants' THEN is_big ELSE 0 END)
  FROM (
    SELECT old.stamp, key AS unit, -value::numeric AS amount, -(old.big::int) AS is_big
    FROM jsonb_each_text('{"tenants": 1}'::jsonb || old.weight) WHERE old.stamp IS NOT NULL
    UNION ALL
    SELECT new.stamp, key, value::numeric, new.big::int
    FROM jsonb_each_text('{"tenants": 1}'::jsonb || new.weight) WHERE new.stamp IS NOT NULL
  ) AS changed GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (stamp, unit) DO UPDATE SET reserved = u.reserved + excluded.reserved, big = u.big + excluded.big;
  RETURN NULL;
END
$body$;
CREATE TRIGGER count_new_move_place AFTER INSERT ON move_places FOR EACH ROW EXECUTE FUNCTION count_move_place();
CREATE TRIGGER count_changed_move_place AFTER UPDATE ON move_places FOR EACH ROW
  WHEN (old.stamp <> new.stamp OR old.weight <> new.weight OR old.big <> new.big)
  EXECUTE FUNCTION count_move_place();
CREATE TRIGGER count_removed_move_place AFTER DELETE ON move_places FOR EACH ROW EXECUTE FUNCTION count_move_place();

-- One that moves has its own reconciler, and no turn of its own.
DROP INDEX tenants_due;
CREATE INDEX tenants_due ON tenants (retry_at_ms) WHERE phase <> 'moving'
  AND NOT ((phase = 'active' AND goal = 'present') OR (phase = 'suspended' AND goal = 'suspended'));

-- What a stamp says of a move while the store recovers.
ALTER TABLE recovery_claims ADD COLUMN move_id text, ADD COLUMN moved_to text,
  ADD COLUMN watched boolean NOT NULL DEFAULT false;
`;
