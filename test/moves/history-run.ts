import type { MoveView } from "../../packages/api/src/schemas/moves.ts";
import { createSeededRandom, type SeededRandom } from "@stampyard/testing";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { checkHistory, describeOp } from "./check-history.ts";
import { type Clients, startClients } from "./clients.ts";
import { type MoveWish, persist, requestMove, untilEnded } from "./drive-move.ts";
import { groupOps, isAcknowledgedWrite, monotonicMs, type Op } from "./history.ts";
import { type HistoryFleet, historyFleet, settleTenants } from "./history-fleet.ts";
import { leftBehind } from "./left-behind.ts";
import { type Battlefield, type BlowName, blowNames, type Strike, strike } from "./nemesis.ts";
import { watchOwners } from "./owners.ts";
import { readEnd, readJournals } from "./read-end.ts";

export interface RunPlan {
  readonly seed: number;
  /** Goes on until so many moves have ended with the tenant at its target, */
  readonly moves: number;
  /** and so many writes of moving tenants were acknowledged. */
  readonly writes: number;
  readonly log: (line: string) => void;
}

export interface RunFigures {
  readonly seed: number;
  readonly moves: Readonly<Record<string, number>>;
  readonly acknowledged: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly neighbours: { readonly requests: number; readonly errors: number; readonly excused: number };
  readonly blows: Readonly<Record<string, number>>;
  readonly ownerLooks: number;
  /** Longest time without an acknowledged write around each move that nobody disturbed, in milliseconds. */
  readonly quietPauses: readonly number[];
  readonly seconds: number;
  /** Empty, or the run has failed. */
  readonly problems: readonly string[];
}

interface Run extends Battlefield {
  readonly stamps: readonly string[];
  readonly movers: readonly string[];
  readonly clients: ReadonlyMap<string, Clients>;
  readonly ended: MoveView[];
  readonly quiet: { readonly tenant: string; readonly from: number; readonly to: number }[];
  readonly homes: Map<string, string>;
  readonly dealt: BlowName[];
}

/** Two tenants change places, again and again, under writers and under blows; then everything is counted. */
export async function runHistory(plan: RunPlan): Promise<RunFigures> {
  const began = performance.now();
  const random = createSeededRandom(plan.seed);
  await using fleet = await historyFleet({ name: "history" });
  const tenants = await settleTenants(fleet, 2);
  const stamps = [...tenants.keys()];
  const neighbours = new Map(stamps.map((stamp) => [stamp, tenants.get(stamp)?.[1] ?? ""]));
  const homes = new Map(stamps.map((stamp) => [tenants.get(stamp)?.[0] ?? "", stamp]));
  const run: Run = {
    ...{ fleet, random, neighbours, stamps, homes, movers: [...homes.keys()], log: plan.log },
    ...{ ops: [], strikes: [], problems: [], ended: [], quiet: [], dealt: [] },
    clients: new Map(
      [...homes.keys(), ...neighbours.values()].map((tenant) => [tenant, clientsOf(fleet, homes, tenant, random)]),
    ),
  };
  const owners = watchOwners(fleet, stamps, run.movers);
  try {
    for (let round = 0; !isEnough(run, plan); round++) await changePlaces(run, round);
    await delay(300);
  } catch (caught) {
    for (const line of warningsOf(fleet)) plan.log(line);
    throw caught;
  } finally {
    await Promise.all([...run.clients.values()].map((clients) => clients.stop()));
    await owners.stop();
  }
  if (owners.looks === 0) run.problems.push("nobody could look who owns which tenant");
  stopBatches(run, "SIGSTOP");
  const figures = await judge(run, plan.seed, owners.problems);
  stopBatches(run, "SIGCONT");
  return { ...figures, ownerLooks: owners.looks, seconds: Math.round((performance.now() - began) / 1_000) };
}

/** Without two writers of one row these fail for no reason of their own, as SERIALIZABLE does; so every failure counts. */
const quietLevels = ["repeatable read", "read committed"] as const;

function clientsOf(
  fleet: HistoryFleet,
  movers: ReadonlyMap<string, string>,
  tenant: string,
  random: SeededRandom,
): Clients {
  const router = () => fleet.router;
  return movers.has(tenant)
    ? startClients({ router, tenant, random, appenders: 4, setters: 3, blobShare: 0.004, pauseMs: 8 })
    : startClients({
        router,
        tenant,
        random,
        appenders: 1,
        setters: 1,
        blobShare: 0,
        pauseMs: 12,
        levels: quietLevels,
      });
}

/** The last of what the control plane complained about, short. */
function warningsOf({ state }: HistoryFleet): readonly string[] {
  const lines = readFileSync(join(state, "logs/control-plane.log"), "utf8").split("\n");
  return lines
    .filter((line) => /^\{"level":[456]/.test(line))
    .map((line) => line.slice(0, 400))
    .slice(-30);
}

function isEnough({ ended, clients, movers }: Run, plan: RunPlan): boolean {
  const writes = movers.reduce(
    (sum, tenant) => sum + (clients.get(tenant)?.ops.filter(isAcknowledgedWrite).length ?? 0),
    0,
  );
  return ended.filter(hasArrived).length >= plan.moves && writes >= plan.writes;
}

function hasArrived({ phase }: MoveView): boolean {
  return phase === "done" || phase === "returned";
}

/** Both tenants move at once, to the other's stamp; every third time nobody disturbs them. */
async function changePlaces(run: Run, round: number): Promise<void> {
  const { random } = run;
  const isQuiet = round % 3 === 2;
  const from = monotonicMs();
  const moves = run.movers.map((tenant) => moveOnce(run, tenant, isQuiet));
  const blowsDealt = isQuiet ? Promise.resolve() : dealBlows(run);
  const settled = await Promise.allSettled([...moves, blowsDealt]);
  for (const each of settled) if (each.status === "rejected") throw each.reason;
  if (isQuiet) for (const tenant of run.movers) run.quiet.push({ tenant, from, to: monotonicMs() });
  await delay(random.int(0, 200));
}

/** Every blow has its turn before one comes again. */
async function dealBlows(run: Run): Promise<void> {
  const { random } = run;
  const count = random.int(1, 2);
  for (let n = 0; n < count; n++) {
    const left = blowNames.filter(
      (name) => timesOf(run.dealt, name) === Math.min(...blowNames.map((other) => timesOf(run.dealt, other))),
    );
    const name = random.pick(left);
    run.dealt.push(name);
    const tenant = random.pick(run.movers);
    const from = run.homes.get(tenant) ?? "";
    await delay(random.int(0, 900));
    await strike(run, name, { tenant, from, to: otherOf(run, from) });
  }
}

function timesOf(all: readonly string[], one: string): number {
  return all.filter((name) => name === one).length;
}

function otherOf({ stamps }: Run, stamp: string): string {
  return stamps.find((other) => other !== stamp) ?? "";
}

async function moveOnce(run: Run, tenant: string, isQuiet: boolean): Promise<void> {
  const { fleet, random } = run;
  const from = run.homes.get(tenant) ?? "";
  const to = otherOf(run, from);
  const hasWayBack = random.chance(0.2);
  const verify = random.pick(["incremental", "incremental", "incremental", "before", "after"] as const);
  // With `before` all rows are compared inside the pause, on a machine that may have other things to do.
  const maxPauseMs = verify === "before" ? 8_000 : random.pick([2_000, 5_000]);
  const wish: MoveWish = { tenant, to, verify, maxPauseMs, restMs: hasWayBack ? 60_000 : 0 };
  const { id } = await requestMove(fleet, wish);
  const isEnough = (seen: MoveView) => (hasWayBack && seen.phase === "resting") || isUncomparable(seen);
  let move = await untilEnded(fleet, id, { withinMs: moveWithinMs, isEnough });
  if (isUncomparable(move)) {
    if (isQuiet) run.problems.push(`${id} could not be compared though nobody disturbed it`);
    await persist("a person's word", 30_000, () => fleet.call("POST", `/v1/moves/${id}/finish`, { accept: true }));
    move = await untilEnded(fleet, id, { withinMs: moveWithinMs });
    run.log(`${id} accepted: its frozen view was lost`);
  }
  run.log(
    `${move.id} ${tenant} ${from} -> ${to} ${wish.verify}: ${move.phase}${move.cause === undefined ? "" : `, ${move.cause}`}`,
  );
  if (move.phase === "disputed") run.problems.push(`${id} is disputed: ${move.cause}`);
  if (move.phase === "aborted") {
    if (isQuiet) run.problems.push(`${id} was aborted though nobody disturbed it: ${move.cause}`);
    run.ended.push(move);
    return;
  }
  run.homes.set(tenant, to);
  if (move.phase === "resting") await takeBackOrFinish(run, move, isQuiet);
  else run.ended.push(move);
}

/** Longer than any back-off of a move together with a part that comes back. */
const moveWithinMs = 150_000;

/** With `verify: after` a database that dies takes the frozen view with it, and then a person decides. */
function isUncomparable({ phase, options, setback }: MoveView): boolean {
  return phase === "verifying" && options.verify === "after" && setback?.cause.includes("cannot be compared") === true;
}

/** The way back with its new writes, or its end before its time. */
async function takeBackOrFinish(run: Run, move: MoveView, isQuiet: boolean): Promise<void> {
  const { fleet, random } = run;
  if (random.chance(0.3)) {
    await persist("the end of a way back", 30_000, () => fleet.call("POST", `/v1/moves/${move.id}/finish`, {}));
    run.ended.push(await untilEnded(fleet, move.id, { withinMs: moveWithinMs }));
    return;
  }
  await delay(random.int(0, 500));
  const path = `/v1/moves/${move.id}/rollback`;
  const back = await persist("a way back", 30_000, () => fleet.call<MoveView>("POST", path, { restMs: 0 }));
  const done = await untilEnded(fleet, back.id, { withinMs: moveWithinMs });
  run.log(`${back.id} back: ${done.phase}${done.cause === undefined ? "" : `, ${done.cause}`}`);
  run.ended.push(done);
  if (done.phase === "done") {
    run.homes.set(move.tenant, move.from);
    run.ended.push(await untilEnded(fleet, move.id, { withinMs: moveWithinMs }));
    return;
  }
  if (isQuiet) run.problems.push(`${back.id} was aborted though nobody disturbed it: ${done.cause}`);
  await persist("the end of a way back", 30_000, () => fleet.call("POST", `/v1/moves/${move.id}/finish`, {}));
  run.ended.push(await untilEnded(fleet, move.id, { withinMs: moveWithinMs }));
}

function stopBatches({ fleet, stamps }: Run, signal: NodeJS.Signals): void {
  for (const stamp of stamps) {
    const pid = fleet.pidOf({ kind: "component", stamp, component: "batch" });
    if (pid !== undefined) process.kill(pid, signal);
  }
}

async function judge(
  run: Run,
  seed: number,
  ownerProblems: readonly string[],
): Promise<Omit<RunFigures, "ownerLooks" | "seconds">> {
  const { fleet, stamps, movers } = run;
  const ops = [...[...run.clients.values()].flatMap((clients) => clients.ops), ...run.ops, ...readJournals(fleet)];
  const end = await readEnd(fleet, stamps);
  const problems = [
    ...run.problems,
    ...ownerProblems,
    ...checkHistory(ops, end).map(({ what, detail }) => `${what}: ${detail}`),
    ...end.unfit,
    ...(await leftBehind(fleet, stamps, run.ended)),
  ];
  for (const [tenant, stamp] of run.homes) {
    if (end.homes.get(tenant) !== stamp)
      problems.push(`${tenant} is at home in ${end.homes.get(tenant)}, not in ${stamp}`);
  }
  const atNeighbours = [...run.neighbours.values()].flatMap((tenant) => run.clients.get(tenant)?.ops ?? []);
  const failed = atNeighbours.filter(({ outcome }) => outcome !== "ok");
  const unexcused = failed.filter((op) => !run.strikes.some((hit) => overlaps(hit, op)));
  problems.push(...unexcused.slice(0, 10).map((op) => `a neighbour was hurt (I20): ${describeOp(op)} ${op.code}`));
  return {
    seed,
    moves: countBy(run.ended.map(({ phase }) => phase)),
    acknowledged: ops.filter((op) => movers.includes(op.tenant) && isAcknowledgedWrite(op)).length,
    outcomes: countBy(ops.map((op) => `${op.kind} ${op.outcome}${op.outcome === "ok" ? "" : ` ${op.code}`}`)),
    neighbours: { requests: atNeighbours.length, errors: unexcused.length, excused: failed.length - unexcused.length },
    blows: countBy(run.dealt),
    quietPauses: run.quiet.map((span) => longestPause(ops, span)),
    problems,
  };
}

/** A connection that was opened before a blow may tell of it a moment later. */
const aftermathMs = 1_000;

function overlaps({ from, to }: Strike, op: Op): boolean {
  return op.start <= to + aftermathMs && op.end >= from;
}

function longestPause(ops: readonly Op[], span: Run["quiet"][number]): number {
  const mine = groupOps(ops, ({ tenant }) => tenant).get(span.tenant) ?? [];
  const times = mine.filter(
    (op) => isAcknowledgedWrite(op) && op.client !== "long" && op.end >= span.from && op.end <= span.to,
  );
  const ends = times.map(({ end }) => end).sort((a, b) => a - b);
  return Math.round(ends.reduce((longest, end, n) => Math.max(longest, n === 0 ? 0 : end - (ends[n - 1] ?? end)), 0));
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
