import {
  type EvidenceBucket,
  endedRollouts,
  type FencingToken,
  type Rollout,
  type RolloutMember,
  StampyardError,
} from "@stampyard/domain";
import type { WriteContext } from "../../store/port.ts";
import type { RouterCounts } from "../../store/rollout-port.ts";
import type { ReconcileDeps, Turn } from "../../reconcilers/turn.ts";
import { type EvidenceMemory, forget } from "./evidence-memory.ts";
import { followIngressLog, type IngressLog } from "./ingress-log.ts";
import { noteMembers } from "./note-members.ts";
import { measureLags } from "./queue-lag.ts";
import { planAllSynthetic, sendSynthetic, wantsPresence } from "./synthetic.ts";
import { findLeftPresences, keepPresences } from "./verify-tenant.ts";

export type EvidenceDeps = Pick<ReconcileDeps, "store" | "engine" | "specOf" | "clock" | "log" | "homes" | "hooks"> & {
  /** Access log of an ingress that is not our router, on this machine. */
  readonly ingressLog?: string | undefined;
};

/** Long enough that the baselines of an update exist before anybody thinks of it. */
const keepMs = 2 * 60 * 60_000;
const pruneEveryMs = 60_000;
/** A leader that ends leaves nobody watching for longer. */
const watchForMs = 60_000;
/** More are not watched tenant by tenant. */
const mostWatched = 500;
const idleEveryMs = 5_000;

/** Makes buckets of what routers count, and looks after the members of open rollouts, while this process leads. */
export async function runEvidence(deps: EvidenceDeps, token: FencingToken, signal: AbortSignal): Promise<void> {
  const memory = forget(deps.store);
  const turn: Turn = { token, signal };
  await using ingress = deps.ingressLog === undefined ? undefined : followIngressLog(deps.ingressLog);
  await findLeftPresences(deps, memory, signal).catch((caught: unknown) => {
    if (!signal.aborted) deps.log.warn({ err: caught }, "tenants of ours that were left cannot be looked for");
  });
  // Members of a rollout are looked at from before their first update on.
  let wake = () => {};
  const unwatch = deps.store.watch((event) => {
    if (event.kind === "rollout" && memory.watched.size === 0) wake();
  });
  const tell = createTrouble(deps);
  try {
    while (!signal.aborted) {
      try {
        await observeEvidence(deps, memory, turn, ingress);
        await prune(deps, memory);
        tell(undefined);
      } catch (caught) {
        if (signal.aborted) return;
        tell(caught);
      }
      const often = Math.min(1_000, memory.spanMs * 0.4);
      const everyMs = memory.watched.size > 0 ? often : Math.min(idleEveryMs, memory.spanMs);
      const woken = new AbortController();
      wake = () => woken.abort();
      await deps.clock.sleep(everyMs, AbortSignal.any([signal, woken.signal])).catch(() => {});
    }
  } finally {
    unwatch();
  }
}

/** Says a failure once, for as long as it is the same one. @throws StampyardError STALE_LEADER */
function createTrouble({ log }: EvidenceDeps): (caught: unknown) => void {
  let said: string | undefined;
  return (caught) => {
    if (caught === undefined) {
      said = undefined;
      return;
    }
    const error = StampyardError.from(caught);
    if (error.code === "STALE_LEADER") throw error;
    if (error.message !== said) log.warn({ code: error.code, err: error }, "evidence cannot be gathered");
    said = error.message;
  };
}

async function prune({ store, clock }: EvidenceDeps, memory: EvidenceMemory): Promise<void> {
  const now = clock.now();
  if (now - memory.prunedAt < pruneEveryMs) return;
  memory.prunedAt = now;
  await store.evidence.prune(keepMs);
}

/** One turn. @returns what it saved */
export async function observeEvidence(
  deps: EvidenceDeps,
  memory: EvidenceMemory,
  turn: Turn,
  ingress?: IngressLog,
): Promise<readonly EvidenceBucket[]> {
  const { store, clock } = deps;
  const ctx = { actor: "evidence", token: turn.token };
  const open = await openRollouts(deps);
  await watch(deps, memory, open, ctx);
  await noteMembers(deps, memory, open);
  measureLags(deps, memory, open);
  await planAllSynthetic(deps, memory, open);
  keepPresences(deps, memory, wantsPresence(memory, open), turn);
  await sendSynthetic(deps, memory, open);
  const [reports, routers] = await Promise.all([store.evidence.reports(), store.routers.list()]);
  const live = routers.filter((router) => router.live).map((router) => router.name);
  const now = clock.now();
  const logged = await ingress?.read(now);
  const tellers = ingress === undefined ? live : [...live, ingress.teller];
  memory.counter.note(logged === undefined ? reports : [...reports, logged], tellers, now);
  if (open.length > 0) tellOfSilent(deps, memory, live, reports);
  const buckets = memory.counter.take(now, memory.watched);
  if (buckets.length > 0) await store.evidence.saveBuckets(buckets, ctx);
  return buckets;
}

/** A router that is older than these reports, or cut off from us alone, keeps every span from being whole: that is said once. */
function tellOfSilent(
  { log, clock }: EvidenceDeps,
  { silent }: EvidenceMemory,
  live: readonly string[],
  reports: readonly RouterCounts[],
): void {
  const now = clock.now();
  const heard = new Map(reports.map(({ router, receivedAt }) => [router, receivedAt]));
  for (const router of live) {
    if (now - (heard.get(router) ?? 0) <= silentMs) silent.delete(router);
    else if (!silent.has(router)) {
      silent.add(router);
      log.warn({ router }, "a live router tells no counts: no release can be judged by requests until it does");
    }
  }
}

const silentMs = 60_000;

export interface OpenRollout {
  readonly rollout: Rollout;
  readonly members: readonly RolloutMember[];
}

async function openRollouts({ store }: EvidenceDeps): Promise<readonly OpenRollout[]> {
  const found = await Promise.all(
    (await store.rollouts.open()).map(async (id) => {
      const [row, members] = await Promise.all([store.rollouts.read(id), store.rollouts.members(id)]);
      return row === undefined || endedRollouts.includes(row.value.state.kind) ? [] : [{ rollout: row.value, members }];
    }),
  );
  return found.flat();
}

/** Members and siblings alike, from the moment that a rollout is asked for: who fails already must be known before. */
async function watch(
  { store, clock }: EvidenceDeps,
  memory: EvidenceMemory,
  open: readonly OpenRollout[],
  ctx: WriteContext,
): Promise<void> {
  const stamps = new Set(open.flatMap(({ members }) => members.map(({ stamp }) => stamp)).slice(0, mostWatched));
  const isSame = stamps.size === memory.watched.size && [...stamps].every((stamp) => memory.watched.has(stamp));
  const now = clock.now();
  if (isSame && (stamps.size === 0 || memory.watchedUntil - now > watchForMs / 2)) return;
  await store.evidence.watch([...stamps], now + watchForMs, ctx);
  memory.watched = stamps;
  memory.watchedUntil = now + watchForMs;
}
