import {
  type Component,
  type ComponentObservation,
  type ComponentStatus,
  canonicalJson,
  componentsOf,
  type Digest,
  type Endpoint,
  type EngineChange,
  type FencingToken,
  type Instant,
  type Json,
  type StampObservation,
  type StampSpec,
} from "@stampyard/domain";

/** One replica, job or store of a simulated stamp. */
export interface SimulatedComponent {
  readonly name: string;
  readonly replica: number;
  /** Canonical text of what it was made from. */
  readonly definition: string;
  readonly pid: number | undefined;
  readonly since: Instant;
  status: ComponentStatus;
  reason?: string;
}

/** One stamp of the simulated world, as it really is. */
export interface SimulatedStamp {
  readonly name: string;
  spec: StampSpec;
  /** What was completely applied; undefined while nothing was. */
  applied: { readonly stampDigest: Digest; readonly releaseDigest: Digest } | undefined;
  host: "up" | "down";
  /** By `name.replica`. */
  readonly components: Map<string, SimulatedComponent>;
  endpoints: readonly Endpoint[];
  endpointRevision: number;
  token: FencingToken;
}

/** The replicas that a specification asks for; hook jobs and what is external have none. */
export function wantedReplicas(spec: StampSpec): readonly { readonly key: string; readonly component: Component }[] {
  return componentsOf(spec.rendered).flatMap((component) => {
    if (component.kind === "external" || (component.kind === "job" && component.run === "hook")) return [];
    const count = component.kind === "service" ? component.replicas : 1;
    return Array.from({ length: count }, (_, replica) => ({ key: `${component.name}.${replica}`, component }));
  });
}

export function definitionOf(component: Component): string {
  return canonicalJson(JSON.parse(JSON.stringify(component)) as Json);
}

/** What `apply` would do. */
export function changesBetween(stamp: SimulatedStamp | undefined, spec: StampSpec): readonly EngineChange[] {
  const changes = new Map<string, EngineChange>();
  const wanted = wantedReplicas(spec);
  for (const { key, component } of wanted) {
    const record = stamp?.components.get(key);
    const { name } = component;
    if (record === undefined) changes.set(name, { component: name, change: "create", why: "it is not there" });
    else if (record.definition !== definitionOf(component)) {
      changes.set(name, { component: name, change: "update", why: "its definition differs" });
    } else if (record.status !== "healthy" && record.status !== "done") {
      changes.set(name, { component: name, change: "start", why: `it is ${record.status}` });
    }
  }
  for (const record of stamp?.components.values() ?? []) {
    if (wanted.some(({ component }) => component.name === record.name)) continue;
    changes.set(record.name, { component: record.name, change: "remove", why: "the release does not name it" });
  }
  return [...changes.values()];
}

export function observationOf(name: string, stamp: SimulatedStamp | undefined): StampObservation {
  if (stamp === undefined) {
    return { stamp: name, presence: "absent", host: "none", components: [], endpoints: [], endpointRevision: 0 };
  }
  const components = [...stamp.components.values()].map(
    ({ name: component, replica, status, pid, since, reason }): ComponentObservation => ({
      name: component,
      replica,
      status,
      restarts: 0,
      since,
      ...(pid === undefined ? {} : { pid }),
      ...(reason === undefined ? {} : { reason }),
    }),
  );
  return {
    stamp: name,
    presence: "present",
    ...stamp.applied,
    host: stamp.host,
    components,
    endpoints: [...stamp.endpoints],
    endpointRevision: stamp.endpointRevision,
  };
}
