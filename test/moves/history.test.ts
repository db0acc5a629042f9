import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { report } from "../long-report.ts";
import { runHistory } from "./history-run.ts";

const seed = Number(process.env["STAMPYARD_SEED"] ?? randomInt(2 ** 31));
const moves = Number(process.env["STAMPYARD_MOVES"] ?? 20);
const isVerbose = process.env["STAMPYARD_VERBOSE"] !== undefined;
const writes = Number(process.env["STAMPYARD_MOVE_WRITES"] ?? 30_000);

test("tenants change places under writers and under blows: every acknowledged write is at home once, and nowhere else (I15–I22)", async () => {
  const lines: string[] = [];
  const log = (line: string) => {
    lines.push(`${(performance.now() / 1_000).toFixed(1)} ${line}`);
    if (isVerbose) process.stderr.write(`${lines.at(-1)}\n`);
  };
  console.log(`STAMPYARD_SEED=${seed}`);
  try {
    const figures = await runHistory({ seed, moves, writes, log });
    report("history", { ...figures });
    const { outcomes, problems, ...short } = figures;
    console.log(JSON.stringify(short));
    if (problems.length > 0 || isVerbose) console.log(JSON.stringify(outcomes, undefined, 1));
    expect(problems.slice(0, 20), `STAMPYARD_SEED=${seed}, ${problems.length} problems\n${lines.join("\n")}`).toEqual(
      [],
    );
    expect(figures.acknowledged).toBeGreaterThanOrEqual(writes);
  } catch (caught) {
    console.log(`STAMPYARD_SEED=${seed}\n${lines.join("\n")}`);
    throw caught;
  }
}, 600_000);
