import {
  type Evidence,
  type EvidenceBucket,
  type Instant,
  isLookDue,
  type MemberSignals,
  type Rollout,
  type RolloutMember,
} from "@stampyard/domain";
import type { ObservedStamp } from "../../store/port.ts";
import { type EvidenceMemory, memoryOf } from "./evidence-memory.ts";
import { failingBeside, type FailingReports, readFailing } from "./failing-reports.ts";
import { mostUpdated, siblingsOf, updatedOf } from "./members.ts";
import { noteMember, sickOf } from "./note-members.ts";
import { askProbes } from "./ask-probes.ts";
import { askQueries } from "./ask-queries.ts";
import { lagOf } from "./queue-lag.ts";
import { chooseSiblings, readHistory } from "./read-history.ts";
import type { EvidenceDeps } from "./run-evidence.ts";

/** As far back as what was usual is read; the store keeps two hours. */
const baselineMs = 60 * 60_000;
/** More siblings say nothing that these do not; those with the most requests are taken. */
const mostSiblings = 60;

/**
 * Everything that the gate of a rollout is judged by now. Nothing is waited for: what has not come yet is not in it, and
 * counts as missing.
 * @param now by the clock that the members' times are of
 */
export async function gatherEvidence(
  deps: EvidenceDeps,
  rollout: Rollout,
  members: readonly RolloutMember[],
  now: Instant,
): Promise<Evidence> {
  const { store } = deps;
  const memory = memoryOf(store);
  const updated = updatedOf(members).slice(0, mostUpdated);
  const names = updated.map(({ stamp }) => stamp);
  const earliest = Math.min(now, ...updated.map(({ begunAt }) => begunAt));
  const key = rollout.id;
  const candidates = siblingsOf(rollout, members);
  const siblings = await chooseSiblings(store, memory, { key, candidates, most: mostSiblings, now });
  const [rows, observations, failing] = await Promise.all([
    readHistory(store, memory, { key, stamps: [...names, ...siblings], from: earliest - baselineMs, now }),
    store.stamps.observations(),
    readFailing(store),
  ]);
  const wave = "wave" in rollout.state ? rollout.state.wave : 0;
  const watchMs = rollout.waves[wave]?.bakeMs;
  const about = { memory, rollout, now, failing, siblings };
  const signals = members
    .filter(({ stamp }) => names.includes(stamp))
    .map((member) => signalsOf(deps, { ...about, member }, observations.get(member.stamp)));
  return {
    now,
    bucketMs: memory.spanMs,
    ...(watchMs === undefined ? {} : { watchMs }),
    updated,
    siblings,
    buckets: withQuiet(rows, [...names, ...siblings], memory.spanMs),
    signals,
    // One at the end of each wave's bake; the guards need none.
    look: { index: rollout.looks, of: Math.max(1, rollout.waves.length) },
    isLook: isLookDue(rollout, now),
    seed: `${rollout.id} ${wave}`,
  };
}

/**
 * Whether a span is whole is said of all stamps at once, so a stamp without a bucket was quiet where another one has a
 * whole one. A span of which nobody has any stays missing.
 */
export function withQuiet(
  rows: readonly EvidenceBucket[],
  stamps: readonly string[],
  ms: number,
): readonly EvidenceBucket[] {
  const wanted = new Set(stamps);
  const spans = new Map<Instant, EvidenceBucket[]>();
  for (const row of rows) {
    // Of another length = from before somebody changed it.
    if (row.ms !== ms) continue;
    const span = spans.get(row.at);
    if (span === undefined) spans.set(row.at, [row]);
    else span.push(row);
  }
  const found: EvidenceBucket[] = [];
  for (const at of [...spans.keys()].sort((left, right) => left - right)) {
    const span = spans.get(at) ?? [];
    const complete = span.every((row) => row.complete);
    const quiet = new Set(wanted);
    for (const row of span) {
      quiet.delete(row.stamp);
      if (wanted.has(row.stamp)) found.push(row);
    }
    if (!complete) continue;
    for (const stamp of quiet)
      found.push({ stamp, at, ms, complete, requests: 0, errors: 0, latency: [], synthetic: 0 });
  }
  return found;
}

interface About {
  readonly memory: EvidenceMemory;
  readonly rollout: Rollout;
  readonly member: RolloutMember;
  readonly now: Instant;
  readonly failing: FailingReports;
  readonly siblings: readonly string[];
}

function signalsOf(deps: EvidenceDeps, about: About, observed: ObservedStamp | undefined): MemberSignals {
  const { memory, rollout, member, now, failing, siblings } = about;
  const { stamp } = member;
  const { gate } = rollout.strategy;
  if (observed !== undefined) noteMember(memory, member, observed);
  const known = memory.members.get(stamp);
  const lag = gate.queueLag === undefined ? undefined : lagOf(memory, stamp, now);
  return {
    stamp,
    at: observed?.at ?? 0,
    sick: observed === undefined ? undefined : sickOf(observed.observation),
    ...(known?.sickSince === undefined ? {} : { sickSince: known.sickSince }),
    restarts: Math.max(0, ...(known?.restarts.values() ?? [])),
    failedJobs: (observed?.observation.components ?? [])
      .filter(({ status }) => status === "failed")
      .map(({ name, reason }) => (reason === undefined ? name : `${name} (${reason})`)),
    ...(lag === undefined ? {} : { queueLag: lag }),
    failingTenants: failingBeside(failing, stamp, {
      begunAt: member.state.kind === "updated" ? member.state.since : now,
      siblings,
      rule: gate.tenant,
    }),
    probes: askProbes(deps, { memory, rollout, member, now }),
    queries: askQueries(deps, { memory, rollout, member, now }),
  };
}
