import type { DirectoryChange } from "@stampyard/directory";
import {
  afterFailure,
  isServing,
  planStamp,
  type Progress,
  type Stamp,
  type StampAction,
  StampyardError,
  type StampObservation,
  type StampPlan,
  type StampTenants,
  type Verification,
  verifyTenantKey,
  whatIsLacking,
} from "@stampyard/domain";
import { keepFence } from "../fence/keep-fence.ts";
import { removalWaits } from "../freezes/removal-waits.ts";
import type { Revisioned } from "../store/port.ts";
import { checkDrift, kidsOf } from "./drift.ts";
import { causeOf, isTurnOver } from "./failure.ts";
import { tellHomeless } from "./homeless.ts";
import { observeAdopted } from "./observe-adopted.ts";
import { whileStillWanted } from "./still-wanted.ts";
import { releaseWaits } from "./move/release-waits.ts";
import { again, type ReconcileDeps, rest, type Turn, type TurnEnd, writeContext } from "./turn.ts";
import { verifyStamp } from "./verify-stamp.ts";

/** An engine that does not answer in time counts as one that cannot look. */
const observeTimeoutMs = 5_000;

/** One turn of one stamp. Level-triggered: takes a name and never a hint, so a lost event costs only time. */
export async function reconcileStamp(deps: ReconcileDeps, name: string, turn: Turn): Promise<TurnEnd> {
  const found = await deps.store.stamps.read(name);
  if (found === undefined) {
    deps.drift.delete(name);
    deps.fences.delete(name);
    return rest;
  }
  const seen = await observe(deps, found.value, turn);
  await deps.store.stamps.observe(seen, writeContext(turn));
  // A restored store knows the past: what it would change now may be the truth that it forgot (decision D9).
  if ((await deps.store.meta()).mode === "recovering") return rest;

  const tenants = await tenantsOf(deps, found.value);
  const planned = planStamp(found.value, seen, tenants, deps.clock.now());
  try {
    const thawed = await removalWaits(deps, found.value, planned, (stamp) => {
      return planStamp(stamp, seen, tenants, deps.clock.now());
    });
    const plan = await releaseWaits(deps, found.value, seen, thawed);
    if (!isSettled(found.value, seen, plan)) return await carryOut(deps, found, plan, turn);
    const drift = await checkDrift(deps, found.value, turn, (why) =>
      act(deps, found.value, { kind: "apply", why }, turn),
    );
    const fenceRetryAt = await keepFence(deps, found.value, turn);
    if (fenceRetryAt !== undefined) return { kind: "rest", until: fenceRetryAt };
    return await carryOut(deps, found, drift === undefined ? plan : { ...plan, waitingOn: drift }, turn);
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    return await recordFailure(deps, name, caught, turn);
  }
}

/** Counted only where somebody wants them gone: every stamp is looked at every few seconds. */
async function tenantsOf(deps: ReconcileDeps, { name, goal }: Stamp): Promise<StampTenants> {
  const isLeaving = goal === "drained" || goal === "absent";
  return isLeaving ? await deps.store.stamps.tenants(name) : { count: 0, some: [] };
}

/** Built, whole and where its goal wants it, as far as digests tell. It may still wait for its tenants to leave. */
function isSettled(stamp: Stamp, seen: StampObservation, plan: StampPlan): boolean {
  if (stamp.origin === "adopted" || !isServing(stamp.state.kind) || plan.next.kind !== stamp.state.kind) return false;
  return plan.actions.length === 0 && whatIsLacking(stamp, seen) === undefined;
}

async function carryOut(deps: ReconcileDeps, found: Revisioned<Stamp>, plan: StampPlan, turn: Turn): Promise<TurnEnd> {
  let row = found;
  let hasActed = false;
  for (const action of plan.actions) {
    const isLast = action === plan.actions.at(-1);
    if (action.kind === "verify") {
      row = await writeRow(deps, row, { ...plan, next: row.value.state }, turn);
      row = await verify(deps, row, plan, turn);
    } else if (action.kind === "publish" || action.kind === "withdraw") {
      row = await writeRow(deps, row, isLast ? plan : { ...plan, next: row.value.state }, turn, action);
    } else {
      // The reason is there to read while the engine works, and the intent before it begins (I26).
      row = await writeRow(deps, row, { ...plan, next: row.value.state }, turn);
      await act(deps, row.value, action, turn);
      hasActed = true;
    }
  }
  if (hasActed) return again;
  if (plan.actions.at(-1)?.kind !== "verify") row = await writeRow(deps, row, plan, turn);
  if (row.value.state.kind === "gone") await tellHomeless(deps, found.value.name, turn);
  if (found.value.state.kind !== row.value.state.kind) return again;
  return restOf(row.value);
}

/** Long work like the engine's, given up in the same way. Its last write is the step to a phase that takes tenants. */
async function verify(
  deps: ReconcileDeps,
  row: Revisioned<Stamp>,
  { waitingOn: _, ...done }: StampPlan,
  turn: Turn,
): Promise<Revisioned<Stamp>> {
  const verified = await whileStillWanted(deps, row.value, turn.signal, async (signal) => {
    // Before any tenant, so that a stamp never takes one whose writes nothing could stop. An earlier stamp of this name
    // says nothing of this one.
    deps.fences.delete(row.value.name);
    await keepFence(deps, row.value, { ...turn, signal });
    return await verifyStamp(deps, row, { ...turn, signal });
  });
  deps.log.info({ stamp: row.value.name, ...verified.verification }, "verified");
  return await writeRow(deps, verified.row, done, turn, undefined, verified.verification);
}

function restOf(stamp: Stamp): TurnEnd {
  const { state } = stamp;
  if ("setback" in state && state.setback !== undefined) return { kind: "rest", until: state.setback.retryAt };
  const isWaiting = (state.kind === "failed" || state.kind === "destroying") && state.retryAt !== undefined;
  return isWaiting ? { kind: "rest", until: state.retryAt } : rest;
}

/** Engine work: heavy, fenced, and given up as soon as the stamp is to be something else. */
async function act(
  deps: ReconcileDeps,
  stamp: Stamp,
  action: Extract<StampAction, { kind: "apply" | "destroy" }>,
  turn: Turn,
): Promise<void> {
  const { name } = stamp;
  const progress: Progress = (event) => deps.events.publish({ kind: "progress", ...event });
  await whileStillWanted(deps, stamp, turn.signal, async (signal) => {
    const options = { token: turn.token, progress, signal };
    if (action.kind === "destroy") {
      await deps.heavy.pass(signal, () => deps.engine.destroy(name, options));
      const left = await observe(deps, stamp, { ...turn, signal });
      if (left.presence !== "absent") throw unfinished(name, "is still there after its removal");
      return;
    }
    const spec = await deps.specOf(stamp);
    if (spec.rendered.stampDigest !== stamp.stampDigest) {
      throw new StampyardError("STAMP_FAILED", `Stamp ${name} renders to another digest than its row says`, {
        mend: "Apply the fleet again: this control plane renders templates differently from the one before.",
      });
    }
    deps.log.info({ stamp: name, why: action.why }, "apply");
    const isUrgent = isServing(stamp.state.kind);
    const seen = await deps.heavy.pass(signal, () => deps.engine.apply(spec, options), isUrgent);
    await deps.store.stamps.observe(seen, writeContext(turn));
    const lack = whatIsLacking(stamp, seen);
    if (lack !== undefined) throw unfinished(name, `was applied, yet ${lack}`);
    deps.drift.set(name, { keys: kidsOf(spec.routeKeys), at: deps.clock.now() });
  });
}

function unfinished(name: string, what: string): StampyardError {
  return new StampyardError("STAMP_FAILED", `Stamp ${name} ${what}`);
}

/** State, waitingOn and directory change in one transaction; nothing at all when nothing differs. */
async function writeRow(
  deps: ReconcileDeps,
  row: Revisioned<Stamp>,
  plan: StampPlan,
  turn: Turn,
  action?: Extract<StampAction, { kind: "publish" | "withdraw" }>,
  verification?: Verification,
): Promise<Revisioned<Stamp>> {
  const { waitingOn: _, ...stamp } = row.value;
  const waitingOn = plan.waitingOn === undefined ? {} : { waitingOn: plan.waitingOn };
  if (plan.waitingOn !== undefined && plan.waitingOn !== row.value.waitingOn) {
    deps.events.publish({ kind: "waiting", subject: `stamp/${stamp.name}`, why: plan.waitingOn });
  }
  const published = action === undefined ? {} : endpointsAfter(action);
  const changes = [
    ...(action === undefined ? [] : directoryChange(row.value, action)),
    // Whatever came of its verification, routers do not keep the tenant that was made for it.
    ...(row.value.state.kind === "verifying" && plan.next.kind !== "verifying"
      ? [{ kind: "tenant-remove", tenant: verifyTenantKey(stamp.name) } as const]
      : []),
  ];
  const shown = verification === undefined ? {} : { verification };
  const next: Stamp = { ...stamp, ...published, ...waitingOn, ...shown, state: plan.next };
  if (changes.length === 0 && isSameRow(next, row.value)) return row;
  return await deps.store.stamps.write(next, row.revision, { changes }, writeContext(turn));
}

function endpointsAfter(action: Extract<StampAction, { kind: "publish" | "withdraw" }>) {
  if (action.kind === "withdraw") return { endpoints: [], endpointRevision: 0 };
  return { endpoints: action.endpoints, endpointRevision: action.endpointRevision };
}

function directoryChange(
  stamp: Stamp,
  action: Extract<StampAction, { kind: "publish" | "withdraw" }>,
): readonly DirectoryChange[] {
  const { name, pool, region } = stamp;
  // The row says what was published, because both are written in one transaction.
  if (action.kind === "withdraw") {
    return stamp.endpoints.length > 0 ? [{ kind: "stamp-remove", stamp: name }] : [];
  }
  const { endpoints, endpointRevision } = action;
  return [{ kind: "stamp-put", stamp: name, pool, region, endpoints, endpointRevision }];
}

function isSameRow(a: Stamp, b: Stamp): boolean {
  return (
    a.waitingOn === b.waitingOn &&
    JSON.stringify(a.state) === JSON.stringify(b.state) &&
    a.endpointRevision === b.endpointRevision
  );
}

async function recordFailure(deps: ReconcileDeps, name: string, caught: unknown, turn: Turn): Promise<TurnEnd> {
  const error = StampyardError.from(caught);
  // Somebody wrote meanwhile, or wants something else now: look again.
  if (error.code === "STALE_REVISION" || error.code === "CANCELLED") return again;
  deps.log.warn({ stamp: name, code: error.code, err: error }, "turn of a stamp failed");

  const fresh = await deps.store.stamps.read(name);
  if (fresh === undefined) return rest;
  const next = afterFailure(fresh.value, causeOf(error), deps.clock.now());
  if (next === fresh.value.state) throw error;
  const row = await writeRow(deps, fresh, { next, actions: [], waitingOn: `retry of: ${causeOf(error)}` }, turn);
  return restOf(row.value);
}

/** What the engine sees. Not to be able to look is an answer too, never an error and never "absent". */
async function observe(deps: ReconcileDeps, stamp: Stamp, turn: Turn): Promise<StampObservation> {
  const { name } = stamp;
  const signal = AbortSignal.any([turn.signal, AbortSignal.timeout(observeTimeoutMs)]);
  try {
    if (stamp.origin === "adopted") return await observeAdopted(stamp, deps.clock.now(), signal);
    return await deps.engine.observe(name, signal);
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    const reason = signal.aborted ? `no answer in ${observeTimeoutMs} ms` : causeOf(StampyardError.from(caught));
    const nothing = { components: [], endpoints: [], endpointRevision: 0 } as const;
    return { stamp: name, presence: "unknown", host: "none", reason, ...nothing };
  }
}
