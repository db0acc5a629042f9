/**
 * Runs a suite for long, and keeps what it came to in `bench/results/long-<suite>-<date>.json`, passed or failed:
 *
 *   node scripts/long-run.mjs fuzz --minutes 30 [--seed 7]      mutated requests and mutated answers of stamps
 *   node scripts/long-run.mjs soak [--requests 100000]          every fault of a stamp, beside healthy ones
 *   node scripts/long-run.mjs rollouts [--rounds 1]             every fault of a release, programs of two versions, kill -9 anywhere
 *
 * A word behind the suite, such as `rollouts faults`, runs only its files whose names hold it, with a record of their own.
 * With STAMPYARD_ROUTER_IO=fast, by that way. Runs shorter than that are printed only. What ends by Ctrl-C keeps the parts that were over.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const suites = {
  fuzz: {
    files: ["test/conformance/fuzz.test.ts", "test/conformance/fuzz-answers.test.ts"],
    size: { option: "minutes", name: "minutes", long: 10, variable: "STAMPYARD_FUZZ_MINUTES" },
  },
  soak: {
    files: ["test/bulkhead/bulkhead.test.ts"],
    size: { option: "requests", name: "requestsPerFault", long: 100_000, variable: "STAMPYARD_SOAK_REQUESTS" },
  },
  rollouts: {
    files: ["test/rollouts"],
    size: { option: "rounds", name: "rounds", long: 1, variable: "STAMPYARD_ROLLOUT_ROUNDS" },
    env: { STAMPYARD_ROLLOUTS: "long", STAMPYARD_CRASH: "all" },
  },
};
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: "string" },
    requests: { type: "string" },
    rounds: { type: "string" },
    seed: { type: "string" },
  },
});
const [name, only] = positionals;
const suite = suites[name];
for (const [option, value] of Object.entries(values)) {
  if (!/^\d+(\.\d+)?$/.test(value) || Number(value) <= 0) throw new RangeError(`--${option} needs a number above 0`);
}
if (suite === undefined) throw new RangeError(`Name a suite: ${Object.keys(suites).join(" or ")}`);

const size = Number(values[suite.size.option] ?? suite.size.long);
/** Which way the router serves its sockets; a run by the faster one has a record of its own. */
const sockets = process.env.STAMPYARD_ROUTER_IO || "public";
const folder = mkdtempSync(join(tmpdir(), "stampyard-long-"));
const reported = join(folder, "parts");
const startedAt = new Date();
const loadBefore = loadavg();
const env = { ...process.env, STAMPYARD_LONG_REPORT: reported };
Object.assign(env, suite.env, { [suite.size.variable]: String(size) });
if (values.seed !== undefined) env.STAMPYARD_SEED = values.seed;

const files = only === undefined ? suite.files : filesNamed(only);
const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", ...files];
const child = spawn(process.execPath, vitest, { env, cwd: root, stdio: "inherit" });
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    interrupted = true;
    child.kill(signal);
  });
}
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
  try {
    keep(code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function keep(code) {
  const parts = existsSync(reported) ? readFileSync(reported, "utf8").trim().split("\n").map(JSON.parse) : [];
  const outcome = {
    suite: name,
    ...(only === undefined ? {} : { only }),
    at: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt) / 1_000),
    asked: { [suite.size.name]: size },
    sockets,
    passed: code === 0,
    interrupted,
    commit: commitOf(),
    node: process.versions.node,
    machine: { cpus: cpus().length, model: cpus()[0]?.model, memoryGiB: Math.round(totalmem() / 2 ** 30) },
    loadAverage: { before: loadBefore, after: loadavg() },
    parts,
  };
  if (size < suite.size.long) return;
  const results = join(root, "bench/results");
  mkdirSync(results, { recursive: true });
  const file = join(
    results,
    `long-${name}${only === undefined ? "" : `-${only}`}${sockets === "public" ? "" : `-${sockets}`}-${startedAt.toISOString().slice(0, 10)}.json`,
  );
  writeFileSync(file, `${JSON.stringify(outcome, undefined, 2)}\n`);
  console.log(`${code === 0 ? "Passed" : "Failed"}, ${parts.length} parts: ${file}`);
}

/** Those of the suite's test files whose names hold the word. */
function filesNamed(word) {
  const all = suite.files.flatMap((path) =>
    path.endsWith(".ts") ? [path] : readdirSync(join(root, path)).map((file) => `${path}/${file}`),
  );
  const found = all.filter((file) => file.endsWith(".test.ts") && basename(file).includes(word));
  if (found.length === 0) throw new RangeError(`No file of ${name} has ${word} in its name`);
  return found;
}

/** With a plus sign where files were changed since. */
function commitOf() {
  const git = (...args) =>
    execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  try {
    return git("rev-parse", "--short", "HEAD").trim() + (git("status", "--porcelain", "-uno") === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}
