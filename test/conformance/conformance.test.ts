import { createSeededRandom } from "@stampyard/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { corpus, families } from "./families.ts";
import { createShooter, type Lane } from "./judge.ts";
import { type RecordingStamp, startRecordingStamp } from "./recording-stamp.ts";
import { hostOf, type RouterUnderTest, startRouterUnderTest } from "./router-under-test.ts";

const laneCount = 24;
let lanes: Lane[] = [];
let victim: RecordingStamp;
let router: RouterUnderTest;
/** Of failing payloads: family, id and what was seen. */
const problems: { readonly family: string; readonly text: string }[] = [];
let shots = 0;

beforeAll(async () => {
  victim = await startRecordingStamp();
  lanes = await Promise.all(
    Array.from({ length: laneCount }, async (_, n) => {
      const recording = await startRecordingStamp();
      const tenant = `lane-${String(n).padStart(2, "0")}`;
      return { stamp: `s-${n}`, tenant, port: recording.port, host: hostOf(tenant), recording };
    }),
  );
  router = await startRouterUnderTest([...lanes, { stamp: "s-victim", tenant: "victim", port: victim.port }]);
  await Promise.all(lanes.map((lane, index) => shootShare(lane, index)));
}, 120_000);

afterAll(async () => {
  await router?.[Symbol.asyncDispose]();
  await Promise.all([victim, ...lanes.map((lane) => lane.recording)].map((stamp) => stamp?.stop()));
});

/** Every payload once as a whole, and every eighth once more in single bytes. */
async function shootShare(lane: Lane, index: number): Promise<void> {
  const shooter = createShooter(router.port, lane);
  const random = createSeededRandom(index);
  const only = process.env["STAMPYARD_PAYLOAD"];
  for (const [at, payload] of corpus(lane.host).entries()) {
    if (at % laneCount !== index || (only !== undefined && !payload.id.includes(only))) continue;
    const cuttings =
      random.int(0, 7) === 0 && payload.bytes.length < 4_000 ? (["whole", "bytewise"] as const) : (["whole"] as const);
    // A router that is broken altogether makes each shot wait; nobody reads more than this.
    if (problems.length > 200) break;
    for (const cutting of cuttings) {
      shots += 1;
      const problem = await shooter.shoot(payload, cutting);
      if (problem === undefined) continue;
      const as = cutting === "whole" ? "" : " (in single bytes)";
      problems.push({ family: payload.family, text: `${payload.id}${as}: ${problem}` });
    }
  }
  shooter.end();
}

describe("one request, one meaning (I6, I8, I9)", () => {
  test("the corpus is as large as it is meant to be, and each payload has its own name", () => {
    const payloads = corpus("lane-00.localhost");
    expect(payloads.length).toBeGreaterThanOrEqual(2_500);
    const names = payloads.map(({ family, id }) => `${family} ${id}`);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    if (process.env["STAMPYARD_PAYLOAD"] === undefined) expect(shots).toBeGreaterThan(payloads.length);
  });

  test.each(Object.keys(families))("%s: every payload gets its verdict", (family) => {
    const failed = problems.filter((problem) => problem.family === family).map(({ text }) => text);
    expect(failed, `${failed.length} verdicts`).toEqual([]);
  });

  test("no payload reached another tenant's stamp (I5)", () => {
    expect(victim.requests).toEqual([]);
    expect(victim.faults).toEqual([]);
  });
});
