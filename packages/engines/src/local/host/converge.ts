import { type Component, componentsOf, type Endpoint, isSame, StampyardError, startNeeds } from "@stampyard/domain";
import type { Goal } from "../goal.ts";
import { freePort } from "../ledger.ts";
import { isAlive } from "../process/identity.ts";
import { stopProcess } from "../process/stop.ts";
import { type BringOptions, bringInstance, lingerMs, portKey } from "./bring-up.ts";
import { isJobDone, runReleaseJob } from "./job.ts";
import { definitionOf } from "./process-plan.ts";
import { recordGoal, recordGood } from "./known-goal.ts";
import { endLeaving, markLeaving } from "./leaving.ts";
import { type Host, type InstanceRecord, instanceKey, saveState, setStatus } from "./state.ts";

export interface ConvergeOptions extends BringOptions {
  /** Brings only this component; the others keep what they run. */
  readonly only?: string;
  /** The whole wish, where `only` takes a part of it: reaching all of it gives the stamp its digest. @default the goal */
  readonly whole?: Goal;
}

/**
 * Makes the stamp equal to the goal: each component starts as soon as all it needs are healthy, side by side where
 * nothing stands between. Repeating it changes nothing; after an interruption it goes on from what is there.
 */
export async function converge(host: Host, goal: Goal, options: ConvergeOptions): Promise<void> {
  const components = componentsOf(goal.rendered);
  const needs = startNeeds(goal.rendered);
  if (options.only === undefined && options.heal === undefined) {
    host.state.sharedUser = undefined;
    leaveApplied(host, goal);
  }
  const failures: unknown[] = [];
  const fate = { isLost: false };
  const begun = new Map<string, Promise<boolean>>();
  const bring = (name: string): Promise<boolean> => {
    let task = begun.get(name);
    if (task === undefined) {
      task = bringWithNeeds(name);
      begun.set(name, task);
    }
    return task;
  };
  const bringWithNeeds = async (name: string): Promise<boolean> => {
    const component = components.find((candidate) => candidate.name === name);
    if (component === undefined) return false;
    if (options.only !== undefined && options.only !== name) return true;
    const needed = await Promise.all([...(needs.get(name) ?? [])].map(bring));
    if (needed.includes(false)) return false;
    try {
      await bringComponent(host, goal, component, { ...options, fate });
      return true;
    } catch (error) {
      fate.isLost = true;
      failures.push(error);
      return false;
    }
  };
  await Promise.all(components.map((component) => bring(component.name)));
  const isCut = failures.length > 0 || options.signal.aborted;
  // Where an update did not come to its end, routers go on with what served before it, which still does.
  if (!((isCut || options.heal !== undefined) && servesAll(host))) refreshEndpoints(host, goal);
  if (isCut && options.heal === undefined) comeBack(host);
  if (isCut) saveState(host);
  options.signal.throwIfAborted();
  if (failures.length > 0) throw failures[0];
  if (options.heal !== undefined) return;
  if (options.only === undefined) await removeLeftovers(host, goal);
  const whole = options.whole ?? goal;
  if (isComplete(host, whole)) {
    const { stampDigest, releaseDigest } = whole.rendered;
    host.state.applied = { stampDigest, releaseDigest };
    recordGood(host, whole);
  }
  saveState(host, true);
}

/** An update that has changed nothing yet has not begun: what runs is whole, and is kept so. */
function comeBack(host: Host): void {
  const { good } = host;
  if (good === undefined || !isComplete(host, good)) return;
  const { stampDigest, releaseDigest } = good.rendered;
  host.state.applied = { stampDigest, releaseDigest };
  recordGoal(host, good);
}

/** Whether there is a process behind every endpoint that routers know. */
function servesAll(host: Host): boolean {
  const { endpoints, instances } = host.state;
  const alive = Object.values(instances).flatMap((record) => [record.current, ...record.retiring]);
  return (
    endpoints.length > 0 &&
    endpoints.every(({ port }) => alive.some((one) => one?.port === port && isAlive(one.identity)))
  );
}

/** Routers must not be left with an endpoint whose process has ended, when another one is there. */
export function mendEndpoints(host: Host): void {
  if (host.goal === undefined || host.state.endpoints.length === 0 || servesAll(host)) return;
  const before = host.state.endpointRevision;
  refreshEndpoints(host, host.goal);
  if (host.state.endpointRevision !== before) saveState(host, true);
}

/**
 * On its way to another rendering it is neither. It must not say that it runs the old one: who gives this up half way and
 * goes back would be told that there is nothing to do.
 */
function leaveApplied(host: Host, { rendered }: Goal): void {
  if (host.state.applied === undefined || host.state.applied.stampDigest === rendered.stampDigest) return;
  host.state.applied = undefined;
  saveState(host, true);
}

async function bringComponent(host: Host, goal: Goal, component: Component, options: ConvergeOptions): Promise<void> {
  options.signal.throwIfAborted();
  if (component.kind === "external") return;
  if (component.kind === "job") {
    if (component.run === "release" && options.heal === undefined) await runReleaseJob(host, goal, component, options);
    return;
  }
  const replicas = component.kind === "service" ? component.replicas : 1;
  const wanted = Array.from({ length: replicas }, (_, replica) => replica).filter((replica) => {
    return options.heal === undefined || options.heal.has(instanceKey(component.name, replica));
  });
  await Promise.all(wanted.map((replica) => bringInstance(host, goal, component, replica, options)));
}

/** Where the router finds the ingress service. A change raises the revision, and only a change does. */
export function refreshEndpoints(host: Host, goal: Goal): void {
  const endpoints: Endpoint[] = Object.values(host.state.instances)
    .filter((record) => record.component === goal.rendered.ingress.service && record.servedPort !== undefined)
    .sort((a, b) => a.replica - b.replica)
    .map((record) => ({ host: "127.0.0.1", port: record.servedPort ?? 0 }));
  if (isSame(endpoints, host.state.endpoints)) return;
  const left = new Set(host.state.endpoints.map(({ port }) => port));
  host.state.endpoints = endpoints;
  host.state.endpointRevision++;
  // Only now can routers begin to hear of it: the old processes stay as long from here on, however long the rest took.
  for (const record of Object.values(host.state.instances)) {
    if (record.component !== goal.rendered.ingress.service) continue;
    record.retiring = record.retiring.map((old) => {
      const isLeft = old.port !== undefined && left.has(old.port) && old.until !== Number.MAX_SAFE_INTEGER;
      return isLeft ? { ...old, until: Date.now() + lingerMs } : old;
    });
  }
  saveState(host);
}

/** Lets go what the goal no longer names: whole components, and replicas beyond their number. */
async function removeLeftovers(host: Host, goal: Goal): Promise<void> {
  const components = componentsOf(goal.rendered);
  const isLeftover = (record: InstanceRecord) => {
    const component = components.find((candidate) => candidate.name === record.component);
    if (component === undefined || component.kind !== record.kind) return true;
    return component.kind === "service" && record.replica >= component.replicas;
  };
  markLeaving(Object.values(host.state.instances).filter(isLeftover));
  refreshEndpoints(host, goal);
  saveState(host);
  await endLeaving(host, goal);
}

export function graceOf(goal: Goal | undefined, record: InstanceRecord): number {
  const component = goal && componentsOf(goal.rendered).find((candidate) => candidate.name === record.component);
  return component?.kind === "service" ? component.stopGraceMs : 20_000;
}

/** Ends all processes of one replica and frees the ports of those that were replaced. */
export async function stopInstance(host: Host, record: InstanceRecord, graceMs: number): Promise<void> {
  record.wanted = false;
  const signal = record.kind === "postgres" ? "SIGINT" : "SIGTERM";
  const all = [record.current, record.candidate, ...record.retiring].filter((process) => process !== undefined);
  const group = record.kind === "service";
  await Promise.all(all.map((process) => stopProcess(process.identity, { signal, graceMs, group })));
  const { ledger, place } = host;
  for (const process of all) {
    if (process === record.current || process.port === undefined) continue;
    await freePort(ledger, place.stateDir, place.stamp, portKey(record, process.generation));
  }
  delete record.current;
  delete record.candidate;
  record.retiring = [];
  setStatus(record, "stopped");
}

/** Whether everything that the goal names runs as the goal says. Only then the stamp carries its digest. */
function isComplete(host: Host, goal: Goal): boolean {
  return componentsOf(goal.rendered).every((component) => {
    if (component.kind === "external") return true;
    if (component.kind === "job") return component.run === "hook" || isJobDone(host, goal, component);
    const definition = definitionOf(component);
    const replicas = component.kind === "service" ? component.replicas : 1;
    const records = Object.values(host.state.instances).filter(
      (record) => record.component === component.name && record.leaving === undefined,
    );
    return (
      records.length === replicas &&
      records.every((r) => r.definition === definition && r.current !== undefined && isAlive(r.current.identity))
    );
  });
}

/** @throws StampyardError NOT_FOUND */
export function requireComponent(goal: Goal, name: string): Component {
  const found = componentsOf(goal.rendered).find((component) => component.name === name);
  if (found !== undefined) return found;
  throw new StampyardError("NOT_FOUND", `Stamp ${goal.rendered.identity.name} has no component ${name}`);
}
