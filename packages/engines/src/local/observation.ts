import {
  type Component,
  type ComponentObservation,
  componentsOf,
  type RenderedStamp,
  type StampObservation,
} from "@stampyard/domain";
import type { HostState, InstanceRecord } from "./host/state.ts";
import { isAlive } from "./process/identity.ts";

/** What a stamp's record says, checked against the processes that really are there. */
export function observationOf(
  stamp: string,
  state: HostState,
  rendered: RenderedStamp | undefined,
  host: "up" | "down",
): StampObservation {
  const components = rendered === undefined ? [] : componentsOf(rendered).flatMap((c) => observeComponent(c, state));
  return {
    stamp,
    presence: "present",
    ...(state.applied === undefined ? {} : state.applied),
    host,
    components,
    endpoints: state.endpoints,
    endpointRevision: state.endpointRevision,
    ...(state.sharedUser === undefined ? {} : { reason: state.sharedUser }),
  };
}

function observeComponent(component: Component, state: HostState): readonly ComponentObservation[] {
  const { name } = component;
  if (component.kind === "external") return [{ name, replica: 0, status: "healthy", restarts: 0, since: 0 }];
  if (component.kind === "job") {
    if (component.run === "hook") return [];
    const done = state.jobs[name];
    const status = done === undefined ? "absent" : "done";
    return [{ name, replica: 0, status, restarts: 0, since: done?.at ?? 0 }];
  }
  const replicas = component.kind === "service" ? component.replicas : 1;
  return Array.from({ length: replicas }, (_, replica) => {
    const record = state.instances[`${name}.${replica}`];
    return record === undefined
      ? { name, replica, status: "absent" as const, restarts: 0, since: 0 }
      : observeInstance(record);
  });
}

function observeInstance(record: InstanceRecord): ComponentObservation {
  const { component: name, replica, restarts, since, reason, current } = record;
  const alive = current !== undefined && isAlive(current.identity);
  const died = !alive && record.status === "healthy";
  const why = died ? "its process is gone" : reason;
  return {
    name,
    replica,
    status: died ? "unhealthy" : record.status,
    restarts,
    since,
    ...(alive ? { pid: current.identity.pid } : {}),
    ...(why === undefined ? {} : { reason: why }),
  };
}
