/** Many small tenants: how many moves a minute with the cap on. */
import { untilEnded } from "../../test/moves/drive-move.ts";
import { bytesPerRow } from "./fleet.mjs";

/** Makes tenants with rows, moves all of one stamp to the other, and counts. */
export async function moveMany(bed, { tenants, rows }) {
  const keys = Array.from({ length: tenants }, (_, n) => `small-${n + 1}`);
  await makeTenants(bed, keys);
  const homes = new Map();
  for (const stamp of bed.stamps) {
    const db = await bed.fleet.connect(stamp, "stampyard_app");
    const { rows: here } = await db.query("select tenant from stampyard.tenant_home where state = 'active'");
    const mine = here.map(({ tenant }) => tenant).filter((tenant) => tenant.startsWith("small-"));
    for (const tenant of mine) homes.set(tenant, stamp);
    for (let at = 0; at < mine.length; at += 50) {
      await db.query(
        `insert into seats (tenant_id, name, body)
         select t, 'seat-' || n, rpad(md5(n::text), ${bytesPerRow}, 'x') from unnest($1::text[]) t, generate_series(1, $2) n`,
        [mine.slice(at, at + 50), rows],
      );
    }
    await db.end();
  }
  const began = performance.now();
  const moves = await inLanes(keys, 32, async (tenant) => {
    const { move } = await bed.fleet.call("POST", "/v1/moves", { tenant, to: bed.other(homes.get(tenant)), restMs: 0 });
    const done = await untilEnded(bed.fleet, move.id, { withinMs: 3_600_000, everyMs: 250 });
    return { phase: done.phase, pauseMs: done.pauseMs };
  });
  const seconds = (performance.now() - began) / 1_000;
  const done = moves.filter(({ phase }) => phase === "done");
  const pauses = done.flatMap(({ pauseMs }) => (pauseMs === undefined ? [] : [pauseMs])).sort((a, b) => a - b);
  return { tenants, rows, seconds, done: done.length, perMinute: (done.length / seconds) * 60, pauses };
}

async function makeTenants(bed, keys) {
  await inLanes(keys, 16, (key) => bed.fleet.call("POST", "/v1/tenants", { key, pool: "shared" }));
  for (;;) {
    const { tenants } = await bed.fleet.call("GET", "/v1/status");
    if ((tenants.active ?? 0) >= keys.length) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function inLanes(items, lanes, work) {
  const results = [];
  const left = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of left) results.push(await work(item));
    }),
  );
  return results;
}
