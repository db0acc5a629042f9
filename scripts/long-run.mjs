// Runs one suite for long: `node scripts/long-run.mjs fuzz --minutes 30 [--seed 7]`, `… soak [--requests 100000] [--seed 7]`.
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";

const suites = { fuzz: "test/conformance/fuzz.test.ts", soak: "test/bulkhead/bulkhead.test.ts" };
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: "string" }, requests: { type: "string" }, seed: { type: "string" } },
});
const suite = suites[positionals[0]];
for (const [name, value] of Object.entries(values)) {
  if (!/^\d+(\.\d+)?$/.test(value) || Number(value) <= 0) throw new RangeError(`--${name} needs a number above 0`);
}
if (suite === undefined) throw new RangeError(`Name a suite: ${Object.keys(suites).join(" or ")}`);

const env = { ...process.env };
if (positionals[0] === "fuzz") env.STAMPYARD_FUZZ_MINUTES = values.minutes ?? "10";
else env.STAMPYARD_SOAK_REQUESTS = values.requests ?? "100000";
if (values.seed !== undefined) env.STAMPYARD_SEED = values.seed;
const child = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", "run", suite], { env, stdio: "inherit" });
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
