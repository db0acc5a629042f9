/**
 * Histories of moves, one fleet after the other, until there are enough moves and acknowledged writes:
 *
 *   node scripts/long-moves.mjs [--moves 2000] [--writes 3000000] [--seed 1] [--at-most 3]
 *
 * What came of each is kept at once in `bench/results/long-moves-<date>.json`. A run that was ended goes on with the next
 * seed where it stopped; `--at-most` ends this one after so many fleets. The first history that fails ends it too.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const results = join(root, "bench/results");
const { values } = parseArgs({
  options: {
    moves: { type: "string", default: "2000" },
    writes: { type: "string", default: "3000000" },
    seed: { type: "string", default: "1" },
    "at-most": { type: "string", default: "100000" },
  },
});
for (const [option, value] of Object.entries(values)) {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new RangeError(`--${option} needs a whole number above 0`);
}
const asked = { moves: Number(values.moves), writes: Number(values.writes), firstSeed: Number(values.seed) };
/** Of one fleet: a few minutes at most, so that each is started, struck and looked at in the end. */
const perFleet = { moves: 40, writes: 60_000 };

const { file, outcome } = goOnOrBegin();
/** Once: the fleet at work comes to its end first. Twice: it is ended, and put away. */
const stopping = new AbortController();
const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (stopping.signal.aborted) return ending.abort();
    stopping.abort();
    console.log("It stops when this fleet is over, in a few minutes; again, and it stops at once");
  });
}

for (let fleets = 0; fleets < Number(values["at-most"]) && !isFinished() && !stopping.signal.aborted; fleets++) {
  const seed = asked.firstSeed + outcome.parts.length;
  const part = await runFleet(seed);
  if (part === undefined) break;
  outcome.parts.push(part);
  keep();
  console.log(`seed ${seed}: ${part.arrived} moves, ${part.acknowledged} writes; ${words()}`);
  if (part.problems.length > 0) break;
}
keep();
const failed = outcome.parts.some(({ problems }) => problems.length > 0);
process.exitCode = failed ? 1 : 0;
console.log(
  `${failed ? "Failed" : isFinished() ? "Passed" : "Not finished"}: ${words()}: ${file.slice(root.length + 1)}`,
);

/** The last record that has not come to its end, of the same wish, or a new one. */
function goOnOrBegin() {
  mkdirSync(results, { recursive: true });
  for (const name of readdirSync(results)
    .filter((entry) => entry.startsWith("long-moves-"))
    .sort()
    .reverse()) {
    const found = JSON.parse(readFileSync(join(results, name), "utf8"));
    const isSame = Object.entries(asked).every(([key, value]) => found.asked[key] === value);
    if (isSame && !found.isFinished) return { file: join(results, name), outcome: found };
  }
  const at = new Date().toISOString();
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, memoryGiB: Math.round(totalmem() / 2 ** 30) };
  const begun = { suite: "moves", at, asked, machine, node: process.versions.node, isFinished: false, parts: [] };
  for (let n = 1; ; n++) {
    const path = join(results, `long-moves-${at.slice(0, 10)}${n === 1 ? "" : `-${n}`}.json`);
    if (!existsSync(path)) return { file: path, outcome: begun };
  }
}

/** One fleet from `up` to `down`; undefined when it was ended from outside. */
async function runFleet(seed) {
  const folder = mkdtempSync(join(tmpdir(), "stampyard-long-moves-"));
  // Stamps run under users of their own; in a folder that is closed to them their data would be elsewhere.
  chmodSync(folder, 0o755);
  const reported = join(folder, "part");
  const loadBefore = loadavg();
  const env = {
    ...process.env,
    TMPDIR: folder,
    STAMPYARD_LONG_REPORT: reported,
    STAMPYARD_SEED: String(seed),
    STAMPYARD_MOVES: String(perFleet.moves),
    STAMPYARD_MOVE_WRITES: String(perFleet.writes),
  };
  const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", "test/moves/history.test.ts"];
  // A group of its own: Ctrl-C in a terminal reaches this script only.
  const child = spawn(process.execPath, vitest, {
    ...{ env, cwd: root, detached: true },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const end = () => process.kill(-child.pid, "SIGTERM");
  ending.signal.addEventListener("abort", end);
  try {
    const code = await new Promise((resolve) => child.on("exit", resolve));
    if (ending.signal.aborted) return undefined;
    const told = existsSync(reported) ? JSON.parse(readFileSync(reported, "utf8").trim().split("\n")[0]) : {};
    const { part: _, ...figures } = { acknowledged: 0, moves: {}, problems: [], seed, ...told };
    const problems = code === 0 || figures.problems.length > 0 ? figures.problems : ["it ended before it was judged"];
    const arrived = (figures.moves.done ?? 0) + (figures.moves.returned ?? 0);
    const loadAverage = { before: loadBefore, after: loadavg() };
    return { ...figures, problems, arrived, commit: commitOf(), loadAverage };
  } finally {
    ending.signal.removeEventListener("abort", end);
    putAway(folder);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Ends what a fleet that was cut off has left. */
function putAway(folder) {
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith("stampyard-history-"))) {
    const env = { ...process.env, STAMPYARD_STATE: join(folder, name, "state") };
    const cli = join(root, "packages/cli/dist/main.js");
    spawnSync(process.execPath, [cli, "down", "--destroy", "--yes"], { env, stdio: ["ignore", "ignore", "inherit"] });
  }
}

function sums() {
  const sum = (of) => outcome.parts.reduce((total, part) => total + of(part), 0);
  return { moves: sum(({ arrived }) => arrived), writes: sum(({ acknowledged }) => acknowledged) };
}

function isFinished() {
  const { moves, writes } = sums();
  return moves >= asked.moves && writes >= asked.writes;
}

function words() {
  const { moves, writes } = sums();
  return `${moves} of ${asked.moves} moves and ${writes} of ${asked.writes} writes over ${outcome.parts.length} fleets`;
}

function keep() {
  const record = { ...outcome, isFinished: isFinished(), totals: sums() };
  writeFileSync(file, `${JSON.stringify(record, undefined, 2)}\n`);
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
