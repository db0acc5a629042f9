import { type GateReport, planWaves, type Rollout, type Routing, rulesDigest } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { readSnapshot, sequenceAll } from "../../store/test-store.ts";
import { systemSha256 } from "../../system-ports.ts";
import { candidatesOf, createRolloutWorld, noGate, quickStrategy, type RolloutWorldBed } from "./test-rollout-world.ts";

// A rollout that brings nothing but routing rules: no process of a stamp is touched, and routers are what is waited for.

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

const digestOf = (routing: Routing) => rulesDigest(routing, systemSha256);

/** As an apply would that changes nothing but rules. */
async function startRules(routing: Routing): Promise<string> {
  const { store, world } = bed;
  const found = await store.fleet.read();
  const release = await store.fleet.release(found?.value.release ?? "sha256:");
  if (found === undefined || release === undefined) throw new RangeError("No fleet");
  const { fleet, release: digest } = found.value;
  const candidates = (await candidatesOf(store, digest, names)).map((candidate) => ({
    ...candidate,
    from: { ...candidate.from, routing: digestOf(fleet.routing) },
    to: { ...candidate.from, routing: digestOf(routing) },
  }));
  const { waves, members } = planWaves({ strategy: quickStrategy, candidates, hotfix: false });
  const rollout = { release: digest, components: [], strategy: quickStrategy, waves, members, hotfix: false };
  const none = { stampCreates: [], stampUpdates: [], fleet, release };
  const byRollout = { fleet: { ...fleet, routing }, rollout };
  const applied = await store.fleet.apply({ ...none, expectedRevision: found.revision, byRollout }, world.ctx());
  return applied.rollout?.value.id ?? "";
}

/** Turns of everybody, with the sequencer between them, until it is so. */
async function until(id: string, fits: (rollout: Rollout) => boolean): Promise<Rollout> {
  for (let n = 0; n < 200; n++) {
    const rollout = await bed.rolloutOf(id);
    if (fits(rollout)) return rollout;
    await bed.step();
    await sequenceAll(bed.store, bed.world.ctx());
    bed.world.clock.leap(500);
  }
  throw new Error(`It does not come to that: ${JSON.stringify(await bed.rolloutOf(id))}`);
}

const isA = (kind: Rollout["state"]["kind"]) => (rollout: Rollout) => rollout.state.kind === kind;

async function published(): Promise<Routing | undefined> {
  const { changes } = await readSnapshot(bed.store);
  return changes.flatMap((change) => (change.kind === "routing-put" ? [change.routing] : []))[0];
}

test("a member has arrived when every live router goes by its rules, and routers that are gone keep nobody (I35)", async () => {
  const { store } = bed;
  await sequenceAll(store, bed.world.ctx());
  const acknowledge = async () => {
    const { incarnation, version, chain } = await store.directory.head();
    await store.routers.acknowledge({ router: "r-1", incarnation, version, chain });
  };
  await acknowledge();
  const before = names.map(bed.runningOf);
  const id = await startRules({ domains: ["localhost"], path: { prefix: "/t", strip: true } });
  // What nobody has numbered yet, nobody can have acknowledged.
  for (let n = 0; n < 8; n++) {
    await bed.step();
    bed.world.clock.leap(500);
  }
  expect(await bed.membersOf(id)).toMatchObject({ "a-1": "updating" });
  const waiting = await until(id, ({ waitingOn }) => waitingOn?.includes("routers to hear") === true);
  expect(waiting).toMatchObject({ state: { kind: "updating", wave: 0 } });
  expect(waiting.waitingOn).toBe("1 being updated: a-1: routers to hear of its routing rules");
  expect((await published())?.trials).toMatchObject([{ stamps: ["a-1"] }]);
  for (let n = 0; n < 5; n++) await bed.step();
  expect(await bed.membersOf(id)).toMatchObject({ "a-1": "updating" });
  await acknowledge();
  await until(id, isA("baking"));
  expect(await bed.membersOf(id)).toEqual({ "a-1": "updated", "b-1": "waiting" });
  await store.routers.forget(-60_000);
  await until(id, isA("done"));
  expect(await published()).toEqual({ domains: ["localhost"], path: { prefix: "/t", strip: true } });
  expect(names.map(bed.runningOf)).toEqual(before);
});

type End = "done" | "aborted";

/** What was said last, numbered or not, is what fleet and stamps say: no order without its rules, no rules without an order. */
async function expectOneTruth(where: string): Promise<void> {
  const { store } = bed;
  const truth = await store.fleet.routing();
  await sequenceAll(store, bed.world.ctx());
  expect(await published(), where).toEqual(truth);
}

/** Other rules over both stamps, or back when the second one has them. */
async function live(end: End, crashAt?: number): Promise<readonly string[]> {
  const before = (await bed.store.fleet.read())?.value.fleet.routing ?? { domains: [] };
  const wanted: Routing =
    before.path === undefined ? { ...before, path: { prefix: "/t", strip: true } } : { domains: before.domains };
  const points: string[] = [];
  let life = new AbortController();
  bed.restart(life.signal);
  bed.state.judge = async (): Promise<GateReport> => {
    const isBad = end === "aborted" && (await bed.membersOf(id))["b-1"] === "updated";
    return { ...noGate, at: bed.world.clock.now(), verdict: isBad ? "abort" : "go" };
  };
  const id = await startRules(wanted);
  bed.setPoint(async (name) => {
    if (life.signal.aborted) throw new Error("dead");
    points.push(name);
    await expectOneTruth(name);
    if (points.length - 1 !== crashAt) return;
    life.abort(new Error(`killed at ${name}`));
    throw life.signal.reason;
  });
  try {
    await until(id, isA(end));
  } catch (caught) {
    if (!life.signal.aborted) throw caught;
    life = new AbortController();
    bed.restart(life.signal);
    await until(id, isA(end));
  }
  bed.setPoint(() => {});
  const where = crashAt === undefined ? "" : `killed at ${points[crashAt]}`;
  await expectOneTruth(where);
  expect(await published(), where).toEqual(end === "done" ? wanted : before);
  expect(Object.values(await bed.membersOf(id)), where).toEqual(
    names.map(() => (end === "done" ? "updated" : "returned")),
  );
  return points;
}

for (const end of ["done", "aborted"] as const) {
  test(`rules of a rollout that ends ${end}, killed at any step: rows and routers say the same, and it resumes (I26, I27)`, async () => {
    const points = await live(end);
    expect(new Set(points)).toContain(`rollouts.${end}:after`);
    // Between the end of one step and the beginning of the next nothing is durable: killed there is killed once.
    const places = points.flatMap((name, at) => (at > 0 && name.endsWith(":before") ? [] : [at]));
    expect(places.length).toBeGreaterThan(10);
    for (const at of places) await live(end, at);
    process.stdout.write(`${end}: killed at ${places.length} points\n`);
  }, 60_000);
}
