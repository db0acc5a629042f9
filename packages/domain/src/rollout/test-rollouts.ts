import type { SeededRandom } from "@stampyard/testing";
import type { Digest } from "../ports.ts";
import { defaultStrategy } from "./gate/default-strategy.ts";
import { isLookDue } from "./plan-bake.ts";
import { planWaves } from "./plan-waves.ts";
import type { GateReport } from "./evidence.ts";
import type { RolloutCandidate } from "./rollout-candidate.ts";
import { type Aim, endedRollouts, type Rollout, type RolloutMember, runningRollouts } from "./rollout.ts";
import { behindWhom, whoTakesOver } from "./rollout-queue.ts";
import type { MemberSeen, RolloutWorld } from "./rollout-world.ts";
import type { RolloutStrategy } from "./strategy.ts";

/** How a simulated release behaves: it is well, it does not start, or it starts and serves errors. */
export type Quality = "good" | "crashes" | "fails";

export interface SimulatedStamp {
  readonly name: string;
  readonly region: string;
  aim: Aim;
  running: Digest;
  /** What it is on its way to, and when it gets there, by the true clock. */
  applying?: { readonly digest: Digest; readonly until: number };
  isReachable: boolean;
  isWhole: boolean;
  isLeaving: boolean;
  isGone: boolean;
  setback?: MemberSeen["setback"];
  barred?: string;
  pinned?: string;
  /** What was seen of it last, which reports may go on telling. */
  seen: MemberSeen;
  /** When it last ran a rendering whole, by the true clock. */
  readonly ran: Map<Digest, number>;
}

export interface KeptRollout {
  readonly rollout: Rollout;
  readonly members: readonly RolloutMember[];
  readonly revision: number;
}

export const digest = (text: string): Digest => `sha256:${text}`;

export function aimOf(release: string, size = 1): Aim {
  return {
    release: digest(release),
    stampDigest: digest(`${release}/${size}`),
    parameters: { size },
    capacity: { tenants: 10, units: {} },
  };
}

/** Quick waves, everybody at a time unless it says otherwise. */
export function strategyFor(some: Partial<RolloutStrategy> = {}): RolloutStrategy {
  return {
    ...defaultStrategy,
    canary: { leastPerMinute: 60 },
    waves: [{ size: { kind: "percent", percent: 30 } }, { size: { kind: "rest" } }],
    maxUnavailable: 2,
    bakeMs: 60_000,
    updateWithinMs: 300_000,
    onNewer: "queue",
    ...some,
    gate: { ...defaultStrategy.gate, waitMs: 120_000, ...some.gate },
  };
}

export type TestFleet = ReturnType<typeof createTestFleet>;

/** Stamps, a store with revisions and transactions, and two clocks: the true one, and the one that everybody reads. */
export function createTestFleet(stamps: number) {
  const now = { true: 1_000_000, wall: 1_000_000 };
  const rows = new Map<string, SimulatedStamp>();
  const quality = new Map<Digest, Quality>();
  const kept = new Map<string, KeptRollout>();
  const add = (name: string, aim = aimOf("r0")): SimulatedStamp => {
    const stamp: SimulatedStamp = {
      name,
      region: rows.size % 3 === 0 ? "us" : "eu",
      aim,
      running: aim.stampDigest,
      isReachable: true,
      isWhole: true,
      isLeaving: false,
      isGone: false,
      seen: sight(aim, now.wall),
      ran: new Map(),
    };
    rows.set(name, stamp);
    return stamp;
  };
  for (let n = 1; n <= stamps; n++) add(`s-${n}`);
  const open = () => [...kept.values()].filter(({ rollout }) => !endedRollouts.includes(rollout.state.kind));
  return { now, rows, quality, kept, open, add };
}

function sight(aim: Aim, observedAt: number): MemberSeen {
  const { stampDigest } = aim;
  return { phase: "active", aimed: stampDigest, running: stampDigest, observedAt, isWhole: true, isLeaving: false };
}

/** Asks for a rollout of everything that is there. */
export function request(
  fleet: TestFleet,
  id: string,
  release: string,
  some: Partial<Pick<Rollout, "components" | "hotfix" | "undoes" | "strategy">> = {},
): KeptRollout {
  const { strategy = strategyFor(), hotfix = false, components = [] } = some;
  const candidates = [...fleet.rows.values()]
    .filter(({ isGone }) => !isGone)
    .map(({ name, region, aim }, index): RolloutCandidate => {
      const perMinute = index * 20;
      const some = { pool: "shared", tiers: [], isDedicated: index % 7 === 6, hasPinnedTenants: false };
      return { stamp: name, region, perMinute, from: aim, to: aimOf(release), ...some };
    });
  const { waves, members } = planWaves({ strategy, candidates, hotfix });
  const rollout: Rollout = {
    id,
    release: digest(release),
    components,
    strategy,
    waves,
    state: { kind: "queued", since: fleet.now.wall },
    hotfix,
    by: "ada",
    spent: { activeMs: 0, bakingMs: 0, waitingMs: 0 },
    looks: 0,
    hooksDone: [],
    ...(some.undoes === undefined ? {} : { undoes: some.undoes }),
  };
  const row = { rollout, members, revision: 1 };
  fleet.kept.set(id, row);
  return row;
}

/**
 * State, members and the aims of their stamps in one transaction, refused when somebody was quicker, or another one is
 * under way.
 */
export function write(
  fleet: TestFleet,
  revision: number,
  rollout: Rollout,
  members: readonly RolloutMember[],
): "written" | "stale" | "refused" {
  const row = fleet.kept.get(rollout.id);
  if (row === undefined || row.revision !== revision) return "stale";
  const isRunning = runningRollouts.includes(rollout.state.kind);
  const others = fleet.open().filter((other) => other.rollout.id !== rollout.id);
  if (isRunning && others.some((other) => runningRollouts.includes(other.rollout.state.kind))) return "refused";
  const differing = new Map(members.map((member) => [member.stamp, member]));
  fleet.kept.set(rollout.id, {
    rollout,
    members: row.members.map((member) => differing.get(member.stamp) ?? member),
    revision: revision + 1,
  });
  for (const { stamp, state, from, to } of members) {
    const target = fleet.rows.get(stamp);
    if (target === undefined || (state.kind !== "updating" && state.kind !== "returning")) continue;
    const aim = state.kind === "updating" ? to : from;
    if (aim.stampDigest === target.aim.stampDigest) continue;
    target.aim = aim;
    delete target.setback;
  }
  return "written";
}

/** The stamps' own reconciler: every stamp is on its way to what its row says. */
export function passTime(fleet: TestFleet, ms: number, random: SeededRandom): void {
  fleet.now.true += ms;
  fleet.now.wall += ms;
  const at = fleet.now.true;
  for (const stamp of fleet.rows.values()) {
    const { applying, aim } = stamp;
    if (applying !== undefined && applying.until <= at) {
      delete stamp.applying;
      const isFailing = fleet.quality.get(applying.digest) === "crashes" || random.chance(0.01);
      if (!isFailing) stamp.running = applying.digest;
      else if (aim.stampDigest === applying.digest) {
        const attempt = (stamp.setback?.attempt ?? 0) + 1;
        stamp.setback = { attempt, cause: "it does not start", stampDigest: applying.digest, at: fleet.now.wall };
      }
    }
    if (stamp.applying === undefined && stamp.isReachable && stamp.running !== aim.stampDigest) {
      stamp.applying = { digest: aim.stampDigest, until: at + random.int(1_000, 40_000) };
    }
    note(stamp, at);
  }
}

function note({ isWhole, isReachable, applying, ran, running }: SimulatedStamp, at: number): void {
  if (isWhole && isReachable && applying === undefined) ran.set(running, at);
}

/** What a turn gets to see of the stamps; with lost reports, what was seen of them before. */
export function look(
  fleet: TestFleet,
  { rollout, members }: KeptRollout,
  random: SeededRandom,
  lost: number,
): RolloutWorld {
  const seen = new Map<string, MemberSeen>();
  const barred = new Map<string, string>();
  const pinned = new Map<string, string>();
  for (const { stamp } of members) {
    const row = fleet.rows.get(stamp);
    if (row === undefined || row.isGone) continue;
    if (!random.chance(lost)) {
      note(row, fleet.now.true);
      row.seen = {
        ...sight(row.aim, fleet.now.wall),
        running: row.isReachable ? row.running : undefined,
        isWhole: row.isReachable && row.isWhole && row.applying === undefined,
      };
    }
    const { setback, isLeaving } = row;
    seen.set(stamp, {
      ...row.seen,
      aimed: row.aim.stampDigest,
      isLeaving,
      ...(setback === undefined ? {} : { setback }),
    });
    if (row.barred !== undefined) barred.set(stamp, row.barred);
    if (row.pinned !== undefined) pinned.set(stamp, row.pinned);
  }
  // A reader tells the time after it has read.
  fleet.now.wall += 1;
  fleet.now.true += 1;
  const open = fleet.open().map((row) => row.rollout);
  const behind = rollout.state.kind === "queued" ? behindWhom(rollout, open) : undefined;
  const newer = whoTakesOver(rollout, members, open);
  return {
    now: fleet.now.wall,
    members: seen,
    barred,
    pinned,
    ...(behind === undefined ? {} : { behind }),
    ...(newer === undefined ? {} : { newer }),
  };
}

/** The gate knows the truth about a release as soon as a member has it, if it knows anything. */
export function judge(
  fleet: TestFleet,
  { rollout, members }: KeptRollout,
  now: number,
  random: SeededRandom,
  missing: number,
): GateReport | undefined {
  if (random.chance(missing / 2)) return undefined;
  const tell = (verdict: GateReport["verdict"], at = now): GateReport => {
    const tookLook = verdict !== "inconclusive" && isLookDue(rollout, now);
    return { at, verdict, checks: [{ name: "errors", verdict, text: `the truth is ${verdict}` }], tookLook };
  };
  if (random.chance(missing)) return tell("inconclusive");
  const there = members.filter(({ state }) => state.kind === "updated");
  if (there.some(({ to }) => fleet.quality.get(to.stampDigest) === "fails")) return tell("abort");
  // A report that comes late tells of a time when all seemed well.
  return random.chance(missing) ? tell("go", now - random.int(1, 200_000)) : tell("go");
}
