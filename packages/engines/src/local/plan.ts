import { componentsOf, type EngineChange, type StampObservation, type StampSpec } from "@stampyard/domain";
import { definitionOf } from "./host/process-plan.ts";
import { hasRunFor, type HostState } from "./host/state.ts";

/** What `apply` would do. Decides from what was recorded and seen, and reads nothing itself. */
export function planChanges(
  spec: StampSpec,
  state: HostState | undefined,
  seen: StampObservation,
): readonly EngineChange[] {
  const changes: EngineChange[] = [];
  // What leaves is as good as gone.
  const instances = Object.values(state?.instances ?? {}).filter((record) => record.leaving === undefined);
  const components = componentsOf(spec.rendered);
  for (const component of components) {
    const { name } = component;
    if (component.kind === "external" || (component.kind === "job" && component.run === "hook")) continue;
    if (component.kind === "job") {
      const done = state?.jobs[name];
      if (!hasRunFor(done, spec.rendered.stampDigest))
        changes.push({
          component: name,
          change: done === undefined ? "create" : "update",
          why: "it did not run for this release",
        });
      continue;
    }
    const records = instances.filter((record) => record.component === name);
    const replicas = component.kind === "service" ? component.replicas : 1;
    const sick = seen.components.find((c) => c.name === name && c.pid === undefined && c.status !== "absent");
    if (records.length === 0) changes.push({ component: name, change: "create", why: "it is not there" });
    else if (records.some((record) => record.definition !== definitionOf(component))) {
      changes.push({ component: name, change: "update", why: "its definition differs from what runs" });
    } else if (records.length !== replicas) {
      changes.push({ component: name, change: "update", why: `${records.length} replicas run instead of ${replicas}` });
    } else if (sick !== undefined) {
      changes.push({ component: name, change: "start", why: sick.reason ?? `it is ${sick.status}` });
    }
  }
  const names = new Set(components.map((component) => component.name));
  for (const gone of new Set(instances.map((record) => record.component))) {
    if (!names.has(gone))
      changes.push({ component: gone, change: "remove", why: "the release does not name it any more" });
  }
  if (seen.presence === "present" && seen.host === "down" && state !== undefined) {
    changes.push({ component: "host", change: "start", why: "its stamp host is down" });
  }
  return changes;
}
