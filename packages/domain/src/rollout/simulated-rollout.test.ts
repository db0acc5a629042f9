import { forSeeds, type SeededRandom } from "@stampyard/testing";
import { expect, test } from "vitest";
import { StampyardError } from "../errors.ts";
import { afterPlan } from "./after-plan.ts";
import { commandRollout } from "./command-rollout.ts";
import { planRollout } from "./plan-rollout.ts";
import {
  endedRollouts,
  memberNext,
  type Rollout,
  type RolloutCommand,
  type RolloutMember,
  type RolloutState,
  rolloutNext,
  runningRollouts,
} from "./rollout.ts";
import type { RolloutPlan, RolloutWorld } from "./rollout-world.ts";
import {
  createTestFleet,
  digest,
  judge,
  type KeptRollout,
  look,
  passTime,
  request,
  strategyFor,
  type TestFleet,
  write,
} from "./test-rollouts.ts";
import { hookKey } from "./wave-steps.ts";

/** What the history remembers for its checks, beside what the store has. */
interface Memory {
  /** When a member was told what it is told now, by the true clock. */
  readonly ordered: Map<string, number>;
  /** What a stamp's row said before the rollout touched it. */
  readonly before: Map<string, string>;
  /** Since when the present bake of a rollout runs, by the true clock. */
  readonly bakes: Map<string, number>;
  /** Good verdicts of a rollout: when they were given, by the true clock, and of which time they tell. */
  readonly good: Map<string, { readonly given: number; readonly at: number }[]>;
  readonly aborted: Set<string>;
  jumped: boolean;
  faults: boolean;
}

/** Plain, because it is asked a million times. */
function must(holds: boolean, what: () => string): void {
  if (!holds) throw new Error(what());
}

function key(rollout: Pick<Rollout, "id">, stamp: string): string {
  return `${rollout.id} ${stamp}`;
}

/** A write as the store makes it, checked against everything that must never be written. */
function record(
  fleet: TestFleet,
  memory: Memory,
  before: KeptRollout,
  rollout: Rollout,
  members: readonly RolloutMember[],
): ReturnType<typeof write> {
  const aims = new Map([...fleet.rows].map(([name, { aim }]) => [name, aim.stampDigest]));
  const answer = write(fleet, before.revision, rollout, members);
  if (answer !== "written") return answer;
  const from = before.rollout.state.kind;
  const to = rollout.state.kind;
  must(from === to || (rolloutNext[from] as readonly string[]).includes(to), () => `${from} does not become ${to}`);
  const states = new Map(before.members.map((member) => [member.stamp, member.state.kind]));
  for (const { stamp, state, to: aim } of members) {
    const was = states.get(stamp);
    const isLegal =
      was === state.kind || (was !== undefined && (memberNext[was] as readonly string[]).includes(state.kind));
    must(isLegal, () => `${stamp}: ${was} does not become ${state.kind}`);
    if (state.kind === "updating" && was !== "updating") {
      memory.ordered.set(key(rollout, stamp), fleet.now.true);
      if (was === "waiting") memory.before.set(key(rollout, stamp), aims.get(stamp) ?? "");
      must(!memory.aborted.has(rollout.id), () => `${stamp} is updated after the abort (I36)`);
      const { barred, pinned } = fleet.rows.get(stamp) ?? {};
      const isHeld = (barred ?? pinned) !== undefined;
      must(!isHeld || was === "failed", () => `${stamp} is updated while it is frozen or pinned`);
    }
    if (state.kind === "returning" && was !== "returning") memory.ordered.set(key(rollout, stamp), fleet.now.true);
    const ordered = memory.ordered.get(key(rollout, stamp)) ?? Number.POSITIVE_INFINITY;
    if (state.kind === "updated" && was !== "updated") {
      const ran = fleet.rows.get(stamp)?.ran.get(aim.stampDigest) ?? 0;
      must(ran >= ordered, () => `${stamp} counts as updated, and has not run it since (I35)`);
    }
    const row = fleet.rows.get(stamp);
    if (state.kind === "returning") {
      const first = memory.before.get(key(rollout, stamp));
      must(row?.aim.stampDigest === first, () => `${stamp} returns to ${row?.aim.stampDigest}, it ran ${first} (I37)`);
    }
  }
  checkPromotion(fleet, memory, before, rollout);
  if (to === "aborting") memory.aborted.add(rollout.id);
  if (to === "baking" && from !== "baking") memory.bakes.set(rollout.id, fleet.now.true);
  return answer;
}

/** Past a bake only with a good verdict on it, or by a person's word (I35). */
function checkPromotion(fleet: TestFleet, memory: Memory, before: KeptRollout, { id, state }: Rollout): void {
  const was = before.rollout.state;
  if (was.kind !== "baking" || state.kind === "baking") return;
  if (state.kind === "paused" || state.kind === "aborting") return;
  const wave = before.rollout.waves[was.wave];
  if (wave === undefined || wave.promoted === true) return;
  const begun = memory.bakes.get(id) ?? Number.POSITIVE_INFINITY;
  const members = fleet.kept.get(id)?.members ?? [];
  const lacking = members.find((member) => {
    const ran = fleet.rows.get(member.stamp)?.ran.get(member.to.stampDigest) ?? 0;
    return member.wave === was.wave && member.state.kind === "updated" && ran < begun;
  });
  must(lacking === undefined, () => `${lacking?.stamp} was not whole since the bake began (I35)`);
  if (wave.bakeMs === 0 || !before.rollout.strategy.gate.enforced) return;
  const phases = members.map((member) => member.state.kind);
  if (!phases.includes("updated") && !phases.includes("waiting")) return;
  const good = memory.good.get(id) ?? [];
  must(
    good.some(({ given, at }) => given >= begun && at >= was.until),
    () => `${id} goes from its bake to ${state.kind} without a good verdict (I35)`,
  );
  const bakedMs = fleet.now.true - begun;
  must(memory.jumped || bakedMs >= was.until - was.since, () => `${id} baked for ${bakedMs} ms`);
}

/** A turn that may see an older state, get no reports, and die before its record. */
function turn(fleet: TestFleet, memory: Memory, id: string, random: SeededRandom): RolloutPlan | undefined {
  const row = fleet.kept.get(id);
  if (row === undefined || endedRollouts.includes(row.rollout.state.kind)) return undefined;
  const chance = (of: number) => (memory.faults ? of : 0);
  let world: RolloutWorld = look(fleet, row, random, chance(0.15));
  const failures = row.rollout.strategy.hooks.filter(() => random.chance(chance(0.02)));
  if (failures.length > 0) {
    const hookFailures = failures.map(({ name, onFailure }) => ({
      name,
      verdict: onFailure === "abort" ? ("abort" as const) : ("pause" as const),
      cause: "it answered 500",
    }));
    world = { ...world, hookFailures };
  }
  let plan = planRollout(row.rollout, row.members, world);
  if (plan.needsGate) {
    const gate = judge(fleet, row, world.now, random, chance(0.2));
    if (gate?.verdict === "go") {
      const list = memory.good.get(id) ?? [];
      memory.good.set(id, [...list, { given: fleet.now.true, at: gate.at }]);
    }
    if (gate !== undefined) world = { ...world, gate };
    plan = planRollout(row.rollout, row.members, world);
  }
  if (random.chance(0.02)) expect(planRollout(row.rollout, row.members, world)).toEqual(plan);
  // A person, or another leader, may be quicker.
  if (random.chance(chance(0.1))) say(fleet, memory, id, random);
  if (random.chance(chance(0.1))) return plan;
  const after = afterPlan(row.rollout, row.members, plan, world);
  const refreshed = new Set(plan.actions.flatMap((action) => (action.kind === "refresh" ? [action.stamp] : [])));
  const fresh = row.members.flatMap((member) => {
    const aim = fleet.rows.get(member.stamp)?.aim;
    return refreshed.has(member.stamp) && aim !== undefined ? [{ ...member, from: aim }] : [];
  });
  const called = plan.actions.flatMap((action) => {
    if (action.kind !== "hook" || random.chance(chance(0.5))) return [];
    const hooks = row.rollout.strategy.hooks.filter(({ point }) => point === action.point);
    return hooks.map(({ name }) => hookKey(action.point, action.wave, name));
  });
  const rollout = { ...after.rollout, hooksDone: [...after.rollout.hooksDone, ...called] };
  for (const { stamp } of plan.actions.flatMap((action) => (action.kind === "update" ? [action] : []))) {
    const member = row.members.find((one) => one.stamp === stamp);
    must(hooksAnswered(row.rollout, member?.wave ?? -1), () => `${stamp} is updated before its hooks have answered`);
  }
  const answer = record(fleet, memory, row, rollout, [...after.members, ...fresh]);
  must(answer !== "refused", () => `${id} wants to run beside another one (I34)`);
  return plan;
}

function hooksAnswered({ strategy, hooksDone, waves }: Rollout, wave: number): boolean {
  if (waves[wave]?.promoted === true) return true;
  return strategy.hooks.every(({ point, name }) => {
    return point !== "before-wave" || hooksDone.includes(hookKey(point, wave, name));
  });
}

const commands: readonly RolloutCommand[] = [
  { kind: "pause" },
  { kind: "resume" },
  { kind: "resume" },
  { kind: "approve" },
  { kind: "approve" },
  { kind: "retry" },
  { kind: "retry" },
  { kind: "promote", full: false },
  { kind: "promote", full: true },
  { kind: "abort" },
];

function say(fleet: TestFleet, memory: Memory, id: string, random: SeededRandom, asked?: RolloutCommand): boolean {
  const row = fleet.kept.get(id);
  if (row === undefined) return false;
  const command = asked ?? random.pick(commands);
  try {
    const context = { actor: "ada", now: fleet.now.wall };
    const after = commandRollout(row.rollout, row.members, command, context);
    if (after.rollout === row.rollout) return true;
    must(
      record(fleet, memory, row, after.rollout, after.members) === "written",
      () => `${command.kind} was not written`,
    );
    const again = commandRollout(
      after.rollout,
      row.members.map((member) => {
        return after.members.find(({ stamp }) => stamp === member.stamp) ?? member;
      }),
      command,
      context,
    );
    must(again.rollout === after.rollout, () => `${command.kind} said twice changes something twice`);
    return true;
  } catch (caught) {
    if (caught instanceof StampyardError && caught.code === "WRONG_PHASE") return false;
    throw caught;
  }
}

/** What must hold after every turn, whatever happened. */
function check(fleet: TestFleet): void {
  const running = fleet.open().filter(({ rollout }) => runningRollouts.includes(rollout.state.kind));
  must(running.length <= 1, () => `${running.map(({ rollout }) => rollout.id).join(" and ")} run at once (I34)`);
  for (const { rollout, members } of running) {
    const { state } = rollout;
    const wave = waveUnderWay(state);
    const open = members.filter((member) => member.state.kind === "updating");
    const other = open.find((member) => member.wave !== wave);
    must(other === undefined, () => `${other?.stamp} of wave ${other?.wave} is updated in wave ${wave} (I34)`);
    const most = wave === undefined ? 0 : (rollout.waves[wave]?.maxUnavailable ?? 0);
    // Those that failed are tried again all at once, as a person said.
    const isRetried = members.some((member) => member.state.kind === "failed") || state.kind === "paused";
    must(open.length <= most || isRetried, () => `${open.length} updated at once`);
    const early = members.find((member) => {
      return wave !== undefined && member.wave > wave && !["waiting", "skipped"].includes(member.state.kind);
    });
    must(early === undefined, () => `${early?.stamp} is ${early?.state.kind} before its wave`);
  }
}

function waveUnderWay(state: RolloutState): number | undefined {
  if (state.kind === "paused") return state.was.wave;
  return "wave" in state ? state.wave : undefined;
}

function disturb(fleet: TestFleet, memory: Memory, random: SeededRandom): void {
  const stamp = random.pick([...fleet.rows.values()]);
  if (random.chance(0.05)) stamp.isReachable = !stamp.isReachable;
  if (random.chance(0.03)) stamp.isWhole = !stamp.isWhole;
  if (random.chance(0.04)) {
    if (stamp.barred === undefined) stamp.barred = "it is frozen";
    else delete stamp.barred;
  }
  if (random.chance(0.01)) {
    if (stamp.pinned === undefined) stamp.pinned = "it is pinned";
    else delete stamp.pinned;
  }
  if (random.chance(0.004)) stamp.isLeaving = true;
  if (stamp.isLeaving && random.chance(0.2)) stamp.isGone = true;
  if (random.chance(0.02)) {
    memory.jumped = true;
    fleet.now.wall += random.int(-400_000, 400_000);
  }
}

function begin(fleet: TestFleet, random: SeededRandom, number: number): void {
  const id = `ro-${number}`;
  const release = `r${random.int(Math.max(1, number - 1), number)}`;
  fleet.quality.set(digest(`${release}/1`), random.pick(["good", "good", "good", "crashes", "fails"]));
  const call = { kind: "http", url: "http://hooks.test/" } as const;
  const hooks = (["before-wave", "after-wave", "after-rollout", "on-abort"] as const).map((point) => {
    return { name: point, point, call, timeoutMs: 1_000, onFailure: random.pick(["abort", "pause"] as const) };
  });
  const base = strategyFor();
  const strategy = strategyFor({
    onAbort: random.pick(["rollback", "rollback", "pause"]),
    onNewer: random.pick(["queue", "batch", "supersede"]),
    bakeMs: random.pick([0, 60_000, 60_000]),
    maxUnavailable: random.int(1, 4),
    waves: base.waves.map((wave) => ({ ...wave, approval: random.chance(0.2) })),
    hooks: random.chance(0.4) ? hooks : [],
  });
  request(fleet, id, release, {
    strategy,
    hotfix: random.chance(0.1),
    components: random.pick([[], [], ["db"], ["app"]]),
  });
}

/** Once faults stop, somebody says what is needed, and everything ends. */
function settle(fleet: TestFleet, memory: Memory, random: SeededRandom): void {
  memory.faults = false;
  for (const stamp of fleet.rows.values()) {
    stamp.isReachable = true;
    stamp.isWhole = true;
    delete stamp.barred;
  }
  for (let n = 0; n < 3_000 && fleet.open().length > 0; n++) {
    for (const { rollout } of fleet.open()) {
      const { kind } = fleet.kept.get(rollout.id)?.rollout.state ?? {};
      if (kind === "approval") say(fleet, memory, rollout.id, random, { kind: "approve" });
      if (kind === "paused") {
        const isOn = say(fleet, memory, rollout.id, random, { kind: "resume" });
        if (!isOn || n > 1_000) say(fleet, memory, rollout.id, random, { kind: "abort" });
      }
      turn(fleet, memory, rollout.id, random);
      check(fleet);
    }
    passTime(fleet, 10_000, random);
  }
  const open = fleet.open().map(({ rollout }) => `${rollout.id} ${JSON.stringify(rollout.state)} ${rollout.waitingOn}`);
  must(open.length === 0, () => `not ended: ${open.join("; ")}`);
}

/** A stamp runs one declared version, and who was lost is named (I38). */
function checkEnd(fleet: TestFleet, random: SeededRandom): void {
  for (let n = 0; n < 100; n++) passTime(fleet, 60_000, random);
  for (const { name, running, aim, isGone } of fleet.rows.values()) {
    must(isGone || fleet.quality.get(aim.stampDigest) === "crashes" || running === aim.stampDigest, () => {
      return `${name} runs ${running}, and should run ${aim.stampDigest} (I38)`;
    });
  }
  for (const { rollout, members } of fleet.kept.values()) {
    const { kind } = rollout.state;
    const phases = members.map(({ state }) => state.kind);
    if (kind === "aborted") must(!phases.includes("updated"), () => `${rollout.id} left a member behind`);
    const lost = phases.filter((phase) => phase === "waiting" || phase === "updating" || phase === "failed");
    if (kind === "done") must(lost.length === 0, () => `${rollout.id} is done without ${lost.length} of its members`);
  }
}

test("planRollout() keeps I34 to I38 and ends, whatever happens to stamps, clocks, reports and itself", async () => {
  const ends: Record<string, number> = {};
  await forSeeds(3_000, (random) => {
    const fleet = createTestFleet(random.int(3, 12));
    const memory: Memory = {
      ordered: new Map(),
      before: new Map(),
      bakes: new Map(),
      good: new Map(),
      aborted: new Set(),
      jumped: false,
      faults: true,
    };
    const count = random.int(1, 4);
    let begun = 0;
    for (let n = 0; n < 90; n++) {
      if (begun < count && (begun === 0 || random.chance(0.03))) {
        begun += 1;
        begin(fleet, random, begun);
      }
      for (const { rollout } of fleet.open()) turn(fleet, memory, rollout.id, random);
      check(fleet);
      disturb(fleet, memory, random);
      passTime(fleet, random.int(500, 20_000), random);
    }
    settle(fleet, memory, random);
    checkEnd(fleet, random);
    for (const { rollout } of fleet.kept.values()) ends[rollout.state.kind] = (ends[rollout.state.kind] ?? 0) + 1;
  });
  // Every end is reached, so nothing above is checked in vain.
  if (process.env["STAMPYARD_SEED"] === undefined) {
    for (const kind of endedRollouts) expect(ends[kind], kind).toBeGreaterThan(100);
  }
}, 120_000);
