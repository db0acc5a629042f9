import { isDeepStrictEqual } from "node:util";
import { componentsOf } from "@stampyard/domain";
import { writeWhole } from "../file.ts";
import type { Goal } from "../goal.ts";
import { definitionOf, inputsOf, type Running } from "./process-plan.ts";
import type { Host, InstanceRecord } from "./state.ts";

/**
 * Between two releases some processes run by the new goal and some by the one before. Each is asked after, and started
 * again, by the goal that it was started from: an old process must not be judged by a new release's health check, nor
 * come back as a release that fails.
 */
export function goalOf(host: Host, record: InstanceRecord): Goal | undefined {
  if (host.goal !== undefined && runsBy(host, host.goal, record)) return host.goal;
  return host.good !== undefined && runsBy(host, host.good, record) ? host.good : undefined;
}

function runsBy(host: Host, goal: Goal, record: InstanceRecord): boolean {
  const component = componentsOf(goal.rendered).find(({ name }) => name === record.component);
  if (component === undefined || component.kind === "job" || component.kind === "external") return false;
  if (definitionOf(component) !== record.definition) return false;
  try {
    return inputsOf(host, goal, component as Running, record.replica) === record.inputs;
  } catch {
    return false; // It refers to what is not there.
  }
}

/** Remembers what the stamp was whole with, until it is whole with something else. */
export function recordGood(host: Host, goal: Goal): void {
  if (isDeepStrictEqual(host.good, goal)) return;
  writeWhole(host.place.goodFile, JSON.stringify(goal), { durable: true });
  host.good = goal;
}

/** The intent is on disk before anything is done about it (I26). */
export function recordGoal(host: Host, goal: Goal): void {
  if (!isDeepStrictEqual(host.goal, goal)) writeWhole(host.place.specFile, JSON.stringify(goal), { durable: true });
  host.goal = goal;
}
