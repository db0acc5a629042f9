/**
 * How long a new stamp takes, from the call that creates it to its first answered request, and where the time goes.
 * The stamp is the one of examples/notes: PostgreSQL, Redis, NATS, a migration job and two services, each new.
 *
 *   npm run bench:provision             7 stamps
 *   npm run bench:provision -- --quick  3 stamps
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeSecret, secretNames } from "../packages/domain/dist/index.js";
import { openLocalEngine } from "../packages/engines/dist/index.js";
import { formatProblems, parseTemplate, renderStamp } from "../packages/manifest/dist/index.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const count = process.argv.includes("--quick") ? 3 : 7;
const sourceDir = join(root, "examples/notes");
const templateFile = join(sourceDir, "stamp.yaml");

const sha256 = (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest());
const random = { bytes: (n) => new Uint8Array(randomBytes(n)) };
const signal = new AbortController().signal;

const parsed = parseTemplate(readFileSync(templateFile, "utf8"), { file: templateFile });
if (!parsed.ok) {
  console.error(formatProblems(parsed.problems));
  process.exit(1);
}

function specOf(name) {
  const rendered = renderStamp(parsed.template, { name, pool: "bench", region: "local" }, {}, sha256);
  const secrets = Object.fromEntries(secretNames(rendered).map((secret) => [secret, makeSecret(random)]));
  return { rendered, sourceDir, secrets, routeKeys: `k1:${randomBytes(32).toString("base64url")}` };
}

/** One stamp, from nothing to its first answer and back to nothing. */
async function provision(engine, name) {
  const stages = {};
  const began = performance.now();
  const progress = (event) => {
    stages["host up"] ??= performance.now() - began;
    if (event.state !== "end" || event.component === undefined) return;
    const stage = `${event.component}: ${event.step}`;
    stages[stage] = (stages[stage] ?? 0) + event.ms;
  };
  const seen = await engine.apply(specOf(name), { token: 1, signal, progress });
  stages["apply returned"] = performance.now() - began;
  const [endpoint] = seen.endpoints;
  const answer = await fetch(`http://${endpoint.host}:${endpoint.port}/healthz`);
  await answer.text();
  if (!answer.ok) throw new Error(`The first request was answered ${answer.status}`);
  stages["first answered request"] = performance.now() - began;
  const ending = performance.now();
  await engine.destroy(name, { token: 1, signal });
  stages.destroy = performance.now() - ending;
  return stages;
}

const stateDir = mkdtempSync(join(tmpdir(), "stampyard-bench-"));
const loadBefore = loadavg()[0];
const runs = [];
try {
  const engine = await openLocalEngine({ stateDir });
  const first = performance.now();
  await provision(engine, "warm-up"); // Fetches servers and builds the database template where they are not here yet.
  console.error(`Warm-up stamp (gets what is missing): ${Math.round(performance.now() - first)} ms, not counted`);
  for (let n = 1; n <= count; n++) {
    runs.push(await provision(engine, `bench-${n}`));
    console.error(`Stamp ${n} of ${count}: first answer after ${Math.round(runs.at(-1)["first answered request"])} ms`);
  }
} finally {
  rmSync(stateDir, { recursive: true, force: true });
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
const summary = Object.keys(runs[0]).map((stage) => {
  const sorted = runs.map((run) => run[stage] ?? 0).sort((a, b) => a - b);
  return {
    stage,
    medianMs: Math.round(at(sorted, 0.5)),
    minMs: Math.round(sorted[0]),
    maxMs: Math.round(sorted.at(-1)),
  };
});

const now = new Date();
const report = {
  benchmark: "provision",
  at: now.toISOString(),
  stamps: count,
  targetMs: 3_000,
  machine: { cpus: cpus().length, model: cpus()[0]?.model, memoryGiB: Math.round(totalmem() / 2 ** 30) },
  node: process.versions.node,
  loadAverage: { before: loadBefore, after: loadavg()[0] },
  summary,
  runs,
};
const resultsDir = join(root, "bench/results");
mkdirSync(resultsDir, { recursive: true });
const file = join(resultsDir, `provision-${now.toISOString().slice(0, 10)}.json`);
writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);

console.log(
  `${"stage".padEnd(26)}${"median".padStart(9)}${"min".padStart(9)}${"max".padStart(9)}   ms, ${count} stamps`,
);
for (const { stage, medianMs, minMs, maxMs } of summary) {
  console.log(
    `${stage.padEnd(26)}${String(medianMs).padStart(9)}${String(minMs).padStart(9)}${String(maxMs).padStart(9)}`,
  );
}
const median = summary.find(({ stage }) => stage === "first answered request").medianMs;
console.log(`\nFirst answered request: median ${median} ms, target 3000 ms: ${median < 3_000 ? "met" : "missed"}`);
console.log(`Load average ${loadBefore.toFixed(2)} before, ${loadavg()[0].toFixed(2)} after. Written to ${file}`);
