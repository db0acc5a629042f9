import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { measureLong, report as keep } from "../long-report.ts";
import { fuzz } from "./fuzzing.ts";

/** The long run is `npm run fuzz:router -- --minutes N [--seed N]`. */
test("mutated requests reach a stamp only as what they are, or not at all (I6, I7, I8)", async () => {
  const minutes = Number(process.env["STAMPYARD_FUZZ_MINUTES"] ?? "0");
  const seed = Number(process.env["STAMPYARD_SEED"] ?? randomInt(1_000_000));
  const forMs = minutes > 0 ? minutes * 60_000 : 6_000;
  const measured = measureLong();
  const report = await fuzz({ seed, forMs, maxShots: minutes > 0 ? Number.POSITIVE_INFINITY : 6_000, lanes: 24 });
  keep("requests", { ...report, seed, ...measured() });
  console.log(`fuzz: ${report.shots} payloads, ${report.forwarded} requests forwarded, STAMPYARD_SEED=${seed}`);
  expect(report.problems, `STAMPYARD_SEED=${seed}`).toEqual([]);
  expect(report.shots).toBeGreaterThan(200);
  expect(report.forwarded).toBeGreaterThan(10);
}, 2_147_483_647);
