/**
 * Moves of tenants that are written to, through a real router, control plane and two stamps:
 * the write pause as writers see it; the whole move beside a bare COPY of the same rows, a cold move and PostgreSQL's own
 * subscription, between the same two databases and in turns; many small tenants a minute; and what the fence costs.
 *
 *   npm run bench:move             200,000 rows, 40 moves of them, 1,000 small tenants
 *   npm run bench:move -- --quick  20,000 rows, 6 moves, 40 small tenants, and the fence left out
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { monotonicMs } from "../test/moves/history.ts";
import { analyze, fillTenant, openFleet, sizeOf } from "./move/fleet.mjs";
import { moveMany } from "./move/many.mjs";
import { bareCopy, coldMove, subscriptionCopy } from "./move/peers.mjs";
import { startWriters } from "./move/writers.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    moves: { type: "string" },
    tenants: { type: "string" },
    rows: { type: "string" },
  },
});
const { quick } = values;
const rows = Number(values.rows ?? (quick ? 20_000 : 200_000));
const moves = Number(values.moves ?? (quick ? 6 : 40));
const tenants = Number(values.tenants ?? (quick ? 40 : 1_000));
const roundsOfPeers = quick ? 2 : 7;
const loadBefore = loadavg();

const median = (list) => quantile(list, 0.5);
function quantile(list, share) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
}

/** Move, bare COPY, cold move and subscription in turns; then moves alone, for the tail of the pause. */
async function measureBig(bed) {
  await bed.tenant("big");
  await fillTenant(bed, "big", rows);
  const bytes = await sizeOf(bed, bed.home.get("big"));
  const writers = startWriters(bed, "big", { count: 6, rows, pauseMs: 10 });
  const all = { moved: [], bare: [], cold: [], subscription: [] };
  try {
    for (let n = 0; n < moves; n++) {
      const from = monotonicMs();
      const move = await bed.move("big");
      all.moved.push({ ...move, ...writers.pauseWithin(from, monotonicMs()) });
      const { servedMs, pauseMs } = all.moved.at(-1);
      console.error(
        `move ${n + 1} of ${moves}: served by ${move.to} after ${servedMs.toFixed(0)} ms, pause ${pauseMs.toFixed(0)} ms`,
      );
      if (n >= roundsOfPeers) continue;
      all.bare.push(await bareCopy(bed, "big"));
      all.cold.push(await coldMove(bed, "big"));
      all.subscription.push(await subscriptionCopy(bed, "big"));
      await analyze(bed);
    }
  } finally {
    await writers.stop();
  }
  return { rows, bytes, refused: writers.refused, writes: writers.acknowledged.length, ...all };
}

function refusedInWords({ refused }) {
  const list = Object.entries(refused).map(([why, count]) => `${count} x ${why}`);
  return list.length === 0 ? "none refused" : `refused: ${list.join(", ")}`;
}

function fenceCosts() {
  execFileSync(process.execPath, ["--conditions=source", join(root, "bench/fence.mjs")], {
    cwd: root,
    stdio: "ignore",
  });
  const file = `bench/results/fence-${new Date().toISOString().slice(0, 10)}.json`;
  return JSON.parse(readFileSync(join(root, file), "utf8")).rows;
}

function summarise(big) {
  const paired = big.moved.slice(0, roundsOfPeers);
  const ratios = big.bare.map(({ totalMs }, n) => (paired[n]?.servedMs ?? 0) / totalMs);
  return {
    pauseMs: {
      median: median(big.moved.map((m) => m.pauseMs)),
      p99: quantile(
        big.moved.map((m) => m.pauseMs),
        0.99,
      ),
    },
    slowestWriteMs: median(big.moved.map((m) => m.slowestMs)),
    servedMs: median(big.moved.map((m) => m.servedMs)),
    servedBesideCopyMs: median(paired.map((m) => m.servedMs)),
    totalMs: median(big.moved.map((m) => m.totalMs)),
    bareCopyMs: median(big.bare.map((b) => b.totalMs)),
    servedToBareCopy: median(ratios),
    cold: { pauseMs: median(big.cold.map((c) => c.pauseMs)), totalMs: median(big.cold.map((c) => c.totalMs)) },
    subscriptionMs: median(big.subscription.map((s) => s.totalMs)),
  };
}

function print(big, summary, many, fence) {
  const line = (what, figure, must = "") => console.log(`${what.padEnd(62)}${figure.padStart(12)}  ${must}`);
  const ms = (figure) => `${figure.toFixed(0)} ms`;
  const verdict = (isMet, limit) => `at most ${limit}: ${isMet ? "met" : "MISSED"}`;
  const { pauseMs, cold } = summary;
  console.log(
    `\n${big.rows} rows, ${(big.bytes / 2 ** 20).toFixed(0)} MiB, 6 writers, ${big.moved.length} moves, ${big.writes} writes, ${refusedInWords(big)}\n`,
  );
  line("write pause seen by the writers, median", ms(pauseMs.median), verdict(pauseMs.median <= 200, "200 ms"));
  line("write pause seen by the writers, p99", ms(pauseMs.p99), verdict(pauseMs.p99 <= 500, "500 ms"));
  line("slowest single write of a move, median", ms(summary.slowestWriteMs));
  line("move until served by its target, median", ms(summary.servedMs));
  line(`  in the ${big.bare.length} rounds that also copied the rows by COPY alone`, ms(summary.servedBesideCopyMs));
  line(
    "  times that bare COPY, median of these rounds",
    `x ${summary.servedToBareCopy.toFixed(2)}`,
    // Promised for a tenant of this size.
    quick ? "" : verdict(summary.servedToBareCopy <= 1.5, "1.5"),
  );
  line("move until the source's copy is erased, median", ms(summary.totalMs));
  line("bare COPY, median", ms(summary.bareCopyMs));
  line("cold move: pause, median", ms(cold.pauseMs));
  line("subscription with copy_data until synchronised, median", ms(summary.subscriptionMs));
  line(`${many.tenants} tenants of ${many.rows} rows, moves per minute`, many.perMinute.toFixed(0));
  if (many.pauses.length > 0) line("  pause as the control plane saw it, median", ms(median(many.pauses)));
  if (fence === undefined) return;
  for (const [what, { unit, wall, cpu }] of Object.entries(fence)) {
    line(`fence: ${what}`, `x ${wall.ratio.toFixed(2)}`, `${unit}; processor x ${cpu.ratio.toFixed(2)}`);
  }
}

const bed = await openFleet();
let big;
let many;
try {
  big = await measureBig(bed);
  many = await moveMany(bed, { tenants, rows: 1_000 });
} finally {
  await bed.fleet[Symbol.asyncDispose]();
}
const fence = quick ? undefined : fenceCosts();
const summary = summarise(big);
print(big, summary, many, fence);
const result = {
  benchmark: "move",
  at: new Date().toISOString(),
  quick,
  machine: {
    cpus: cpus().length,
    model: cpus()[0]?.model,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  },
  loadAverage: { before: loadBefore, after: loadavg() },
  summary,
  big,
  many,
  ...(fence === undefined ? {} : { fence }),
};
mkdirSync(join(root, "bench/results"), { recursive: true });
const file = `bench/results/move-${result.at.slice(0, 10)}${quick ? "-quick" : ""}.json`;
writeFileSync(join(root, file), `${JSON.stringify(result, undefined, 2)}\n`);
console.log(`\nLoad average ${loadBefore[0].toFixed(2)} before, ${loadavg()[0].toFixed(2)} after. Written to ${file}`);
