import type { EventView, StampView } from "@stampyard/api";
import type { NodeState, ProgressNode } from "../output/progress-tree.ts";

export type ProgressOf = Extract<EventView, { kind: "progress" }>;

const serving: readonly string[] = ["active", "cordoned", "draining", "empty"];

/** A stamp is ready when it serves and what is seen of it now, not only what is recorded, is what it should be. */
export function isReady(stamp: StampView): boolean {
  return whatIsMissing(stamp) === undefined;
}

/** Why a stamp is not ready, in words; undefined if it is. */
export function whatIsMissing(stamp: StampView): string | undefined {
  if (stamp.phase === "failed") return stamp.cause ?? "it failed";
  if (!serving.includes(stamp.phase)) return stamp.waitingOn ?? stamp.phase;
  const seen = stamp.observation;
  if (seen === undefined) return "not observed yet";
  if (seen.presence !== "present") return seen.reason ?? `it is ${seen.presence}`;
  if (seen.host !== "up") return "its stamp host is down";
  if (seen.stampDigest !== stamp.stampDigest) return "it runs another digest than its release";
  const sick = seen.components.find((component) => !isWell(component.status));
  if (sick !== undefined) return `${sick.name} is ${sick.status}${sick.reason === undefined ? "" : `: ${sick.reason}`}`;
  if (stamp.endpoints.length === 0) return "its endpoints are not published yet";
  // After an update the old processes serve on until routers know the new ones.
  const isPublished = seen.endpointRevision === undefined || seen.endpointRevision === stamp.endpointRevision;
  return isPublished ? undefined : "its new endpoints are not published yet";
}

/** One tree node per stamp, with its components below while it is not ready. */
export function stampNode(stamp: StampView, latest: ReadonlyMap<string, ProgressOf>): ProgressNode {
  const missing = whatIsMissing(stamp);
  const label = `stamp ${stamp.name} (${stamp.region})`;
  if (missing === undefined)
    return { label, state: "done", detail: `${stamp.used.tenants}/${stamp.capacity.tenants} tenants` };
  const state: NodeState = stamp.phase === "failed" ? "failed" : stamp.phase === "requested" ? "waiting" : "working";
  const retry = stamp.phase === "failed" ? `attempt ${stamp.attempt ?? 1} failed: ${missing}` : missing;
  return { label, state, detail: retry, children: componentNodes(stamp, latest) };
}

function componentNodes(stamp: StampView, latest: ReadonlyMap<string, ProgressOf>): ProgressNode[] {
  const nodes = new Map<string, ProgressNode>();
  for (const component of stamp.observation?.components ?? []) {
    const detail = component.reason ?? component.status;
    nodes.set(component.name, { label: component.name, state: stateOf(component.status), detail });
  }
  for (const event of latest.values()) {
    if (event.stamp !== stamp.name || event.component === undefined) continue;
    if (nodes.get(event.component)?.state === "done") continue;
    const took = event.ms === undefined ? "" : ` ${Math.round(event.ms)} ms`;
    const state: NodeState =
      event.state === "fail" ? "failed" : event.state === "end" && event.step === "healthy" ? "done" : "working";
    const detail = `${event.step}${took}${event.detail === undefined ? "" : `: ${event.detail}`}`;
    nodes.set(event.component, { label: event.component, state, detail });
  }
  return [...nodes.values()];
}

function stateOf(status: NonNullable<StampView["observation"]>["components"][number]["status"]): NodeState {
  if (isWell(status)) return "done";
  if (status === "failed" || status === "unhealthy") return "failed";
  return status === "starting" ? "working" : "waiting";
}

function isWell(status: string): boolean {
  return status === "healthy" || status === "done";
}
