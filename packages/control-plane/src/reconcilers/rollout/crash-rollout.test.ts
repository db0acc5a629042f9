import type { GateReport } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { createRolloutWorld, noGate, type RolloutWorldBed } from "./test-rollout-world.ts";

let postgres: TestPostgres;
let bed: RolloutWorldBed;
const names = ["a-1", "b-1"];
beforeAll(async () => {
  postgres = await startTestPostgres();
  bed = await createRolloutWorld(postgres, names);
}, 60_000);
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

type End = "done" | "aborted";

/** Brings a release over both stamps, or back when the second one has it. Whatever happens is checked at every point. */
async function live(version: string, end: End, crashAt?: number): Promise<readonly string[]> {
  const pidOf = (name: string) => bed.world.engine.stamps.get(name)?.components.get("api.0")?.pid;
  const before = names.map(bed.runningOf);
  const pids = new Map(names.map((name) => [name, new Set([pidOf(name)])]));
  const points: string[] = [];
  let life = new AbortController();
  bed.restart(life.signal);
  bed.state.judge = async (): Promise<GateReport> => {
    const isBad = end === "aborted" && (await bed.membersOf(id))["b-1"] === "updated";
    return { ...noGate, at: bed.world.clock.now(), verdict: isBad ? "abort" : "go" };
  };
  const id = await bed.start(version);
  bed.setPoint(async (name) => {
    if (life.signal.aborted) throw new Error("dead");
    points.push(name);
    for (const [stamp, seen] of pids) seen.add(pidOf(stamp));
    await expectOneWave(id);
    if (points.length - 1 !== crashAt) return;
    life.abort(new Error(`killed at ${name}`));
    throw life.signal.reason;
  });
  const isOver = ({ state }: { state: { kind: string } }) => state.kind === end;
  try {
    await bed.until(id, isOver);
  } catch (caught) {
    if (!life.signal.aborted) throw caught;
    life = new AbortController();
    bed.restart(life.signal);
    await bed.until(id, isOver);
  }
  bed.setPoint(() => {});
  const { release } = await bed.rolloutOf(id);
  const wanted = end === "done" ? names.map(() => release) : before;
  const members = await bed.membersOf(id);
  const where = crashAt === undefined ? "" : `killed at ${points[crashAt]}`;
  expect(names.map(bed.runningOf), where).toEqual(wanted);
  expect(Object.values(members), where).toEqual(names.map(() => (end === "done" ? "updated" : "returned")));
  for (const [name, seen] of pids) {
    seen.add(pidOf(name));
    expect(seen.size, `${where}: ${name} is updated once${end === "done" ? "" : ", and taken back once"}`).toBe(
      end === "done" ? 2 : 3,
    );
  }
  return points;
}

/** (I34) */
async function expectOneWave(id: string): Promise<void> {
  const members = await bed.store.rollouts.members(id);
  const begun = members.filter(({ state }) => state.kind === "updating");
  expect(new Set(begun.map(({ wave }) => wave)).size).toBeLessThanOrEqual(1);
  const open = await Promise.all((await bed.store.rollouts.open()).map((each) => bed.rolloutOf(each)));
  expect(open.filter(({ state }) => state.kind !== "queued").length).toBeLessThanOrEqual(1);
}

for (const end of ["done", "aborted"] as const) {
  test(`a rollout that ends ${end}, killed at any step, resumes: one wave, each member once (I26, I27, I34)`, async () => {
    const points = await live(`${end}-whole`, end);
    expect(new Set(points)).toContain(`rollouts.${end}:after`);
    // Between the end of one step and the beginning of the next nothing is durable: killed there is killed once.
    const places = points.flatMap((name, at) => (at > 0 && name.endsWith(":before") ? [] : [at]));
    expect(places.length).toBeGreaterThan(10);
    for (const at of places) await live(`${end}-${at}`, end, at);
    process.stdout.write(`${end}: killed at ${places.length} points\n`);
  }, 120_000);
}
