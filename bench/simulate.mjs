/**
 * `capacity simulate`: time and memory of a fleet of 10,000 stamps and 1,000,000 tenants, and of larger ones by samples.
 *
 *   npm run bench:simulate             up to 1,000,000,000 tenants, about half a minute
 *   npm run bench:simulate -- --quick  100,000 tenants on 1,000 stamps, a few seconds
 *
 * Every case runs in a process of its own, which is this file with a role, so that peaks of memory are its own. Medians
 * of three; the first run of a process is not counted: a command runs once, so it is told apart.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { simulateFleet } from "@stampyard/domain";

const self = fileURLToPath(import.meta.url);
const root = join(dirname(self), "..");
const runs = 3;
/** The promise of docs/how-to.md: seconds, not minutes. */
const mostMs = 10_000;
const round = (value, digits = 0) => Number(value.toFixed(digits));

/** Tenants that fill a stamp in three units about alike, in four regions, with a share that lives alone. */
function question({ tenants, perStamp, strategy, months, alone }) {
  const regions = { "eu-1": 4, "eu-2": 2, us: 3, ap: 1 };
  const shared = {
    name: "shared",
    tenancy: "shared",
    regions: Object.keys(regions),
    capacity: { tenants: perStamp, rps: perStamp * 1.15, gib: perStamp * 0.8 },
    strategy,
    low: 1,
    restoreTested: true,
  };
  return {
    tenants,
    months,
    growthPerMonth: 0,
    sizes: {
      rps: { kind: "lognormal", median: 0.6, sigma: 1.1 },
      gib: { kind: "pareto", min: 0.2, alpha: 1.6, max: perStamp / 2 },
    },
    regions,
    pools: [shared, { ...shared, name: "dedicated", tenancy: "dedicated", capacity: {} }],
    dedicatedShare: alone,
    prices: { currency: "EUR", regions: { ap: 150 }, otherwise: 120 },
  };
}

function measure(given) {
  const times = [];
  let answer;
  for (let run = 0; run <= runs; run++) {
    const from = performance.now();
    answer = simulateFleet(question(given));
    times.push(performance.now() - from);
  }
  const [first, ...rest] = times;
  const last = answer.months.at(-1);
  return {
    ...given,
    stamps: last.stamps,
    usedOfShared: round(last.fullest.share, 4),
    msFirst: round(first),
    msMedian: round(rest.toSorted((a, b) => a - b)[Math.floor(runs / 2)]),
    peakRssMib: round(process.resourceUsage().maxRSS / 1024),
    ...(answer.sampled === undefined ? {} : { sampledError: round(answer.sampled.error, 4) }),
  };
}

if (process.argv[2] === "case") {
  console.log(JSON.stringify(measure(JSON.parse(process.argv[3]))));
} else {
  main(process.argv.includes("--quick"));
}

function main(quick) {
  const small = { tenants: 100_000, perStamp: 107, months: 12, alone: 0.0005 };
  const million = { ...small, tenants: 1_000_000 };
  const cases = quick
    ? [
        { ...small, strategy: "pack" },
        { ...small, strategy: "spread" },
      ]
    : [
        { ...million, strategy: "pack" },
        { ...million, strategy: "spread" },
        { ...million, strategy: "pack", months: 120 },
        { ...million, strategy: "pack", perStamp: 11 },
        { ...million, strategy: "pack", tenants: 10_000_000 },
        { ...million, strategy: "pack", tenants: 1_000_000_000 },
      ];
  const loadBefore = loadavg()[0];
  const results = cases.map((given) => {
    const args = [...process.execArgv, self, "case", JSON.stringify(given)];
    const result = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
    const sampled = result.sampledError === undefined ? "" : `, sampled within ${round(result.sampledError * 100, 2)}%`;
    console.log(
      `${result.tenants.toLocaleString("en")} tenants, ${result.stamps.toLocaleString("en")} stamps, ${result.strategy}, ` +
        `${result.months} months: ${result.msMedian} ms (first ${result.msFirst} ms), peak ${result.peakRssMib} MiB${sampled}`,
    );
    return result;
  });
  const slow = results.filter((result) => result.msFirst > mostMs);
  keep(quick, { loadAverage: { before: loadBefore, after: loadavg()[0] }, targets: { mostMs }, results });
  if (slow.length > 0) {
    console.error(`${slow.length} cases took longer than ${mostMs} ms`);
    process.exitCode = 1;
  }
}

function keep(quick, measured) {
  const now = new Date();
  const [cpu] = cpus();
  const machine = { cpus: cpus().length, model: cpu?.model.trim() ?? "", memoryGiB: round(totalmem() / 2 ** 30) };
  const about = { benchmark: "simulate", at: now.toISOString(), quick, machine, node: process.versions.node };
  const folder = join(root, "bench/results");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `simulate-${now.toISOString().slice(0, 10)}${quick ? "-quick" : ""}.json`);
  writeFileSync(file, `${JSON.stringify({ ...about, ...measured }, undefined, 2)}\n`);
  console.log(file.slice(root.length + 1));
}
