/** The fleet of the benchmark: two stamps of the application whose histories are checked, as `up` makes them. */
import { persist, requestMove, untilEnded } from "../../test/moves/drive-move.ts";
import { historyFleet } from "../../test/moves/history-fleet.ts";

/** Rows of one tenant in `seats`: about 100 MB with its index at 200,000. */
export const bytesPerRow = 340;

export async function openFleet() {
  const fleet = await historyFleet({ name: "bench-move", tenants: 5_000 });
  const { items } = await fleet.call("GET", "/v1/stamps");
  const stamps = items.map(({ name }) => name).sort();
  const home = new Map();
  return {
    fleet,
    stamps,
    home,
    other: (stamp) => stamps.find((name) => name !== stamp),
    /** A tenant wherever the platform puts it. */
    async tenant(key) {
      const { stamp } = await fleet.json("tenant", "create", key, "--wait");
      home.set(key, stamp);
      return stamp;
    },
    /** To the other stamp and, with `restMs` 0, to the end. */
    async move(key, wish = {}) {
      const from = home.get(key);
      const to = stamps.find((name) => name !== from);
      const began = performance.now();
      const { id } = await requestMove(fleet, { tenant: key, to, restMs: 0, ...wish });
      const served = await untilEnded(fleet, id, {
        withinMs: 600_000,
        everyMs: 10,
        isEnough: ({ phase }) => ["verifying", "resting", "erasing"].includes(phase),
      });
      const servedMs = performance.now() - began;
      if (served.phase === "aborted") throw new Error(`Move ${id} was aborted: ${served.cause}`);
      home.set(key, to);
      const done = await untilEnded(fleet, id, { withinMs: 600_000 });
      return { id, from, to, servedMs, totalMs: performance.now() - began, report: done.report, phase: done.phase };
    },
    persist,
  };
}

/** Rows that nobody else writes, set by set, so that no statement lives long. */
export async function fillTenant(bed, key, rows) {
  const db = await bed.fleet.connect(bed.home.get(key), "stampyard_app");
  for (let first = 1; first <= rows; first += 20_000) {
    await db.query(
      `insert into seats (tenant_id, name, body)
       select $1, 'seat-' || n, rpad(md5(n::text), ${bytesPerRow}, md5((n * 7)::text)) from generate_series($2::int, $3::int) n`,
      [key, first, Math.min(rows, first + 19_999)],
    );
  }
  await db.end();
  await analyze(bed);
}

export async function analyze(bed) {
  for (const stamp of bed.stamps) {
    const db = await bed.fleet.connect(stamp, "postgres");
    await db.query("vacuum analyze");
    await db.end();
  }
}

export async function sizeOf(bed, stamp) {
  const db = await bed.fleet.connect(stamp, "postgres");
  const { rows } = await db.query(
    "select sum(pg_total_relation_size(c.oid))::float8 as bytes from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'",
  );
  await db.end();
  return rows[0].bytes;
}
