import { isDeepStrictEqual } from "node:util";
import { componentsOf, type Progress, type StampObservation, StampyardError, startOrder } from "@stampyard/domain";
import type { HostRequest } from "../control.ts";
import { type Goal, redact, secretsOf } from "../goal.ts";
import { staleLeader } from "../ledger.ts";
import { observationOf } from "../observation.ts";
import { converge, graceOf, requireComponent, stopInstance } from "./converge.ts";
import { runJob } from "./job.ts";
import { goalOf, recordGoal } from "./known-goal.ts";
import { type Host, saveState } from "./state.ts";

/** What a host does on request, one change at a time. */
export interface Work {
  handle(request: HostRequest, progress: Progress, signal: AbortSignal): Promise<StampObservation>;
  /** Starts these replicas again, whose processes ended. */
  heal(due: ReadonlySet<string>): Promise<void>;
}

interface Turn {
  readonly kind: "apply" | "heal" | "stop";
  readonly goal: Goal | undefined;
  readonly abort: AbortController;
  /** Of a heal: what died while it was under way, and is started beside it. */
  readonly beside?: Promise<void>[];
}

export function makeWork(host: Host): Work {
  let last: Promise<unknown> = Promise.resolve();
  let running: Turn | undefined;

  /** Changes run one after the other. A newer wish ends the wait of an older one that wants something else. */
  async function exclusive(
    turn: Turn,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    if (running !== undefined && yields(running, turn)) {
      running.abort.abort(new StampyardError("CANCELLED", "A newer change of this stamp took over"));
    }
    const before = last;
    const mine = (async () => {
      await before.catch(() => {});
      running = turn;
      const both = AbortSignal.any([signal, turn.abort.signal]);
      try {
        both.throwIfAborted();
        await work(both);
      } finally {
        running = undefined;
      }
    })();
    last = mine;
    await mine;
  }

  /** Replicas that are being started again. */
  const healing = new Set<string>();

  return {
    async handle(request, progress, signal) {
      if (request.op !== "status") checkHostToken(host, request.token);
      switch (request.op) {
        case "status":
          break;
        case "apply": {
          const goal = request.only === undefined ? request.goal : mergeGoal(host.goal, request.goal, request.only);
          await exclusive({ kind: "apply", goal, abort: new AbortController() }, signal, async (both) => {
            recordGoal(host, goal);
            const only = request.only === undefined ? {} : { only: request.only };
            await converge(host, goal, { signal: both, progress, whole: request.goal, ...only });
          });
          break;
        }
        case "run":
          await runHook(host, request, signal);
          break;
        case "stop":
          await exclusive({ kind: "stop", goal: undefined, abort: new AbortController() }, signal, () => stopAll(host));
      }
      const { goal } = host;
      return observationOf(host.place.stamp, host.state, goal?.rendered, "up");
    },
    async heal(due) {
      const { goal } = host;
      const mine = new Set([...due].filter((key) => !healing.has(key)));
      if (goal === undefined || mine.size === 0 || running?.kind === "stop") return;
      for (const key of mine) healing.add(key);
      try {
        // What an update has not come to yet is kept up meanwhile, as what it is.
        if (running?.kind === "apply") return await healByGood(host, mine, running.abort.signal);
        if (running?.beside !== undefined) {
          // What is being started may need what has died since: a service waits for its database, and it must not be the other way.
          const beside = converge(host, goal, { signal: running.abort.signal, progress: () => {}, heal: mine });
          running.beside.push(beside);
          return await beside;
        }
        const turn = { kind: "heal" as const, goal, abort: new AbortController(), beside: [] as Promise<void>[] };
        await exclusive(turn, turn.abort.signal, (signal) => healTogether(host, goal, mine, turn.beside, signal));
      } finally {
        for (const key of mine) healing.delete(key);
      }
    },
  };
}

/** Starts them, and returns when all that joined meanwhile have come to their end too. */
async function healTogether(
  host: Host,
  goal: Goal,
  due: ReadonlySet<string>,
  beside: Promise<void>[],
  signal: AbortSignal,
): Promise<void> {
  const before = addressesOf(host);
  const old = runningByGood(host, due);
  const rest = new Set([...due].filter((key) => !old.has(key)));
  try {
    await healByGood(host, old, signal);
    await converge(host, goal, { signal, progress: () => {}, heal: rest });
  } finally {
    while (beside.length > 0) await Promise.allSettled(beside.splice(0));
  }
  // A stranger took a port meanwhile: whoever refers to that address has to hear of the new one.
  if (addressesOf(host) !== before) await converge(host, goal, { signal, progress: () => {} });
}

/** Those among them that run by the goal before, which the present one would make something else of. */
function runningByGood(host: Host, due: ReadonlySet<string>): ReadonlySet<string> {
  const { good, state } = host;
  const isOld = (key: string) => {
    const record = state.instances[key];
    return good !== undefined && good !== host.goal && record !== undefined && goalOf(host, record) === good;
  };
  return new Set([...due].filter(isOld));
}

async function healByGood(host: Host, due: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
  const old = runningByGood(host, due);
  if (host.good === undefined || old.size === 0) return;
  await converge(host, host.good, { signal, progress: () => {}, heal: old });
}

function addressesOf(host: Host): string {
  return JSON.stringify(Object.entries(host.state.instances).map(([key, { current }]) => [key, current?.port]));
}

function yields(running: Turn, next: Turn): boolean {
  if (next.kind === "stop" || running.kind === "heal") return true;
  return running.kind === "apply" && next.kind === "apply" && !isDeepStrictEqual(running.goal, next.goal);
}

/** @throws StampyardError STALE_LEADER */
function checkHostToken(host: Host, token: number): void {
  if (token < host.state.token) throw staleLeader(token, host.state.token);
  if (token === host.state.token) return;
  host.state.token = token;
  saveState(host, true);
}

/** The new goal's component in the old goal's place; everything else stays as it was. */
function mergeGoal(old: Goal | undefined, next: Goal, only: string): Goal {
  const component = requireComponent(next, only);
  if (old === undefined) return next;
  const known = componentsOf(old.rendered).some((candidate) => candidate.name === only);
  if (!known) return next;
  const stages = old.rendered.stages.map((stage) => ({
    ...stage,
    components: stage.components.map((candidate) => (candidate.name === only ? component : candidate)),
  }));
  return { ...next, rendered: { ...next.rendered, stages } };
}

async function runHook(host: Host, request: Extract<HostRequest, { op: "run" }>, signal: AbortSignal): Promise<void> {
  const component = requireComponent(request.goal, request.job);
  if (component.kind !== "job") {
    throw new StampyardError("INVALID_REQUEST", `Component ${request.job} is a ${component.kind}, not a job`);
  }
  let why: string | undefined;
  try {
    why = await runJob(host, request.goal, component, request.env, signal);
  } catch (error) {
    if (!(error instanceof StampyardError) || error.code !== "STAMP_FAILED") throw error;
    why = error.message;
  }
  if (why === undefined) return;
  throw new StampyardError("HOOK_FAILED", redact(`Job ${request.job} failed: ${why}`, secretsOf(request.goal)));
}

/** Ends all components, each before those it needs. */
async function stopAll(host: Host): Promise<void> {
  const { goal } = host;
  const waves = goal === undefined ? [] : startOrder(goal.rendered);
  const records = Object.values(host.state.instances);
  for (const record of records) record.wanted = false;
  const levelOf = (component: string) => waves.findIndex((wave) => wave.includes(component));
  for (const level of [...new Set(records.map((record) => levelOf(record.component)))].sort((a, b) => b - a)) {
    const now = records.filter((record) => levelOf(record.component) === level);
    await Promise.all(now.map((record) => stopInstance(host, record, graceOf(goal, record))));
    saveState(host);
  }
}
