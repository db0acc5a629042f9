import { adviceQuestions } from "@stampyard/api";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runLine, stubFetch } from "../../test-io.ts";
import { linesOf, optionOf, readAnswers } from "./answers.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-advise-"));
  writeFileSync(join(dir, "token"), "tok_x\n");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const advise = (...argv: string[]) =>
  runLine(["advise", ...argv], { cwd: dir, env: { STAMPYARD_STATE: join(dir, "none") } });

test("advise needs the count of tenants only, and no control plane", async () => {
  const { code, out, err } = await advise("--tenants", "40");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/^Not yet: stamps do not pay\nBecause /);
  expect(out).toContain("What to do instead, the most effective first");
  expect(out).toMatch(/\d+ of \d+ answers are assumed/);
  const none = await advise();
  expect(none).toMatchObject({ code: 1, out: "" });
  expect(none.err).toContain("How many tenants there are is not said");
});

test("advise --long gives every number with its formula; JSON has them always", async () => {
  const line = ["--tenants", "4000", "--load", "80%", "--growth-per-month", "6%", "--can-grow", "1.2"];
  const { out } = await advise(...line, "--long", "--tenant-key", "yes");
  expect(out).toMatch(/^Yes, stamps pay\n/);
  expect(out).toContain("= ln(1.2 / 0.8) / ln(1 + 0.06)");
  const { figures, inputs, verdict } = JSON.parse((await advise(...line, "-o", "json")).out);
  expect(verdict).toBe("yes");
  expect(figures.length).toBeGreaterThan(8);
  expect(inputs.find((row: { key: string }) => row.key === "load")).toMatchObject({ value: 0.8, from: "given" });
});

test("advise reads the file that --questions prints, answers filled in, and options win", async () => {
  const { out: questions } = await advise("--questions");
  const every = adviceQuestions.map(({ key }) => optionOf(key));
  for (const name of every) expect(questions).toContain(`# ${name}:`);
  // As it is, it answers nothing.
  expect(linesOf(questions, "q").size).toBe(0);
  const filled = questions.replace("# tenants:", "tenants: 1_200 # about").replace(/^# team:.*$/m, "team: 9");
  writeFileSync(join(dir, "answers.txt"), filled);
  const { out } = await advise("--answers", "answers.txt", "--team", "12", "-o", "json");
  const value = (key: string) => JSON.parse(out).inputs.find((row: { key: string }) => row.key === key).value;
  expect([value("tenants"), value("team")]).toEqual([1_200, 12]);
});

test("advise names every fault of a file with its line", async () => {
  writeFileSync(join(dir, "bad.txt"), "tenants: many\nteam: 3\nteam\n");
  expect((await advise("--answers", "bad.txt")).err).toContain("bad.txt:3: not a line such as tenants: 400");
  writeFileSync(join(dir, "bad.txt"), "tenants: many\nteam: 30%\nteams: 3\ntenant-key: maybe\n");
  const { err } = await advise("--answers", "bad.txt");
  for (const line of [1, 2, 3, 4]) expect(err).toContain(`bad.txt:${line}: `);
  expect((await advise("--tenants", "-4")).err).toContain("which is no number");
  expect((await advise("--answers", "none.txt")).err).toContain("is not there");
});

test("advise has an option for every question of the table", async () => {
  const { out } = await advise("--help");
  for (const { key } of adviceQuestions) expect(out).toContain(`--${optionOf(key)} <`);
  expect(readAnswers(adviceQuestions, new Map([["load", { text: "7%", where: "x" }]])).load).toBeCloseTo(0.07, 9);
});

test("advise asks a fleet that runs, and says which answers are the fleet's", async () => {
  const unit = { unit: "tenants", limit: 100, reserved: 80, used: 80, free: 20, share: 0.8 };
  const stamp = (name: string) => ({
    stamp: name,
    region: "eu",
    phase: "active",
    takesTenants: true,
    basis: "reserved",
    units: [unit],
    over: false,
  });
  const pool = {
    pool: "main",
    tenancy: "shared",
    rules: {
      regions: ["eu"],
      strategy: "spread",
      low: 0.8,
      high: 1,
      headroom: 0,
      stamps: { min: 1, max: 9, spare: 0 },
    },
    newStamp: { tenants: 100 },
    units: [],
    over: false,
    stamps: [stamp("main-1"), stamp("main-2"), stamp("main-3")],
  };
  const sizes = {
    pools: [{ pool: "main", tenants: 240, units: [{ unit: "tenants", share: 1, biggestShare: 0.25, buckets: [] }] }],
  };
  const api = {
    "GET /v1/capacity": { json: { at: "2026-11-23T02:00:00.000Z", pools: [pool] } },
    "GET /v1/capacity/sizes": { json: sizes },
  };
  const where = ["--server", "http://127.0.0.1:4300", "--token-file", join(dir, "token")];
  const { out } = await runLine(["advise", "-o", "json", "--stamps", "5", ...where], {
    cwd: dir,
    fetch: stubFetch(api),
  });
  const advice = JSON.parse(out);
  expect(advice.fromFleet).toEqual(["tenants", "biggestShare"]);
  const value = (key: string) => advice.inputs.find((row: { key: string }) => row.key === key).value;
  expect([value("tenants"), value("biggestShare"), value("stamps")]).toEqual([240, 0.25, 5]);
  // Named and not there is an error, and not an answer made from assumptions.
  const gone = await runLine(["advise", "--tenants", "9", ...where], { cwd: dir });
  expect(gone.code).toBe(1);
});
