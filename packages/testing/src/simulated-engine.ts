import {
  type CallOptions,
  type Clock,
  type Component,
  type ComponentStatus,
  type Endpoint,
  type FencingToken,
  findComponent,
  type LogLine,
  type LogOptions,
  type StampEngine,
  StampyardError,
  type StampObservation,
  type StampSpec,
} from "@stampyard/domain";
import {
  changesBetween,
  definitionOf,
  observationOf,
  type SimulatedComponent,
  type SimulatedStamp,
  wantedReplicas,
} from "./simulated-stamp.ts";

/** Where a simulated call can be made to fail: before its effect, half way through it, and after it. */
export type EngineStep = `${"apply" | "update" | "destroy" | "run" | "observe"}:${"before" | "middle" | "after"}`;

export interface EngineCall {
  readonly step: EngineStep;
  readonly stamp: string;
  readonly token: FencingToken | undefined;
}

export interface SimulatedEngine extends StampEngine {
  readonly stamps: ReadonlyMap<string, SimulatedStamp>;
  /** How often each stamp was built from nothing; more often than it was destroyed means that data was lost. */
  readonly built: ReadonlyMap<string, number>;
  /** How often each step was passed. */
  readonly passed: ReadonlyMap<EngineStep, number>;
  /** Jobs that ran to their end, with their environment. */
  readonly jobs: readonly { stamp: string; job: string; env: Readonly<Record<string, string>> }[];
  /** Stamp names that `observe` cannot look at now. */
  readonly blind: Set<string>;
  killHost(stamp: string): void;
  setComponent(stamp: string, component: string, status: ComponentStatus): void;
  /** Moves the ingress to other ports, as a host does after a port was taken. */
  moveEndpoints(stamp: string): void;
  /** Takes everything away without a word, as `rm -rf` would. */
  lose(stamp: string): void;
}

export interface SimulatedEngineOptions {
  readonly clock: Clock;
  /** Throws to make a step fail, waits to make it slow. */
  readonly fault?: (call: EngineCall, signal: AbortSignal) => void | Promise<void>;
  readonly operatorUrl?: (spec: StampSpec, component: string) => string | undefined;
  readonly adminUrl?: (spec: StampSpec, component: string) => string | undefined;
  /** Where the ingress of a stamp listens. @default one loopback endpoint per replica with an invented port */
  readonly endpoints?: (spec: StampSpec) => readonly Endpoint[];
}

/** Stamps made of plain data, with faults. It passes the contract of `describeStampEngine`. */
export function createSimulatedEngine(options: SimulatedEngineOptions): SimulatedEngine {
  const { clock } = options;
  const stamps = new Map<string, SimulatedStamp>();
  const built = new Map<string, number>();
  const passed = new Map<EngineStep, number>();
  const jobs: { stamp: string; job: string; env: Readonly<Record<string, string>> }[] = [];
  const lines = new Map<string, LogLine[]>();
  const blind = new Set<string>();
  /** Outlives `destroy`: a leader of long ago may not build it again. */
  const tokens = new Map<string, FencingToken>();
  /** The last change of each stamp: one at a time, as a host does it. */
  const busy = new Map<string, Promise<unknown>>();
  let nextPort = 20_000;
  let nextPid = 1_000;
  const endpointsOf = options.endpoints ?? invent;

  async function step(name: EngineStep, stamp: string, token: FencingToken | undefined, signal: AbortSignal) {
    signal.throwIfAborted();
    passed.set(name, (passed.get(name) ?? 0) + 1);
    await options.fault?.({ step: name, stamp, token }, signal);
    signal.throwIfAborted();
  }

  /** One change: fenced, one at a time for each stamp, with its three places to fail. */
  function change<T>(
    kind: "apply" | "update" | "destroy" | "run",
    stamp: string,
    { token, signal }: CallOptions,
    work: (middle: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const turn = (busy.get(stamp) ?? Promise.resolve()).then(async () => {
      await step(`${kind}:before`, stamp, token, signal);
      fence(stamp, token);
      const result = await work(() => step(`${kind}:middle`, stamp, token, signal));
      await step(`${kind}:after`, stamp, token, signal);
      return result;
    });
    busy.set(
      stamp,
      turn.catch(() => {}),
    );
    return turn;
  }

  function fence(stamp: string, token: FencingToken): void {
    const highest = tokens.get(stamp) ?? 0;
    if (token < highest) {
      throw new StampyardError("STALE_LEADER", `Stamp ${stamp} has seen token ${highest}, which is above ${token}`);
    }
    tokens.set(stamp, token);
    const found = stamps.get(stamp);
    if (found !== undefined) found.token = token;
  }

  function invent(spec: StampSpec): readonly Endpoint[] {
    const ingress = findComponent(spec.rendered, "service").find((s) => s.name === spec.rendered.ingress.service);
    return Array.from({ length: ingress?.replicas ?? 1 }, () => ({ host: "127.0.0.1", port: nextPort++ }));
  }

  function begin(spec: StampSpec, token: FencingToken): SimulatedStamp {
    const { name } = spec.rendered.identity;
    const found = stamps.get(name);
    if (found !== undefined) return found;
    const empty = {
      applied: undefined,
      host: "up",
      components: new Map(),
      endpoints: [],
      endpointRevision: 0,
    } as const;
    const fresh: SimulatedStamp = { ...empty, name, spec, components: new Map(), token };
    stamps.set(name, fresh);
    built.set(name, (built.get(name) ?? 0) + 1);
    return fresh;
  }

  /** @throws StampyardError STAMP_FAILED for a service whose environment says BROKEN */
  function bringUp(stamp: SimulatedStamp, key: string, component: Component): void {
    const before = stamp.components.get(key);
    const definition = definitionOf(component);
    const status = component.kind === "job" ? "done" : "healthy";
    if (before?.definition === definition && before.status === status) return;
    const isBroken = component.kind === "service" && component.env["BROKEN"] !== undefined;
    const record: SimulatedComponent = {
      name: component.name,
      replica: Number(key.slice(key.lastIndexOf(".") + 1)),
      definition,
      pid: component.kind === "job" ? undefined : nextPid++,
      since: clock.now(),
      status: isBroken ? "failed" : status,
    };
    stamp.components.set(key, record);
    if (isBroken) throw new StampyardError("STAMP_FAILED", `Component ${component.name} never got healthy`);
  }

  function finish(stamp: SimulatedStamp, spec: StampSpec): void {
    const keys = new Set(wantedReplicas(spec).map(({ key }) => key));
    for (const key of stamp.components.keys()) if (!keys.has(key)) stamp.components.delete(key);
    const { stampDigest, releaseDigest } = spec.rendered;
    stamp.applied = { stampDigest, releaseDigest };
    const ingress = findComponent(spec.rendered, "service").find((s) => s.name === spec.rendered.ingress.service);
    if (stamp.endpoints.length === (ingress?.replicas ?? 1)) return;
    stamp.endpoints = endpointsOf(spec);
    stamp.endpointRevision += 1;
  }

  async function apply(spec: StampSpec, call: CallOptions): Promise<StampObservation> {
    const { name } = spec.rendered.identity;
    return change("apply", name, call, async (middle) => {
      const stamp = begin(spec, call.token);
      stamp.spec = spec;
      stamp.host = "up";
      if (stamp.applied?.stampDigest !== spec.rendered.stampDigest) stamp.applied = undefined;
      await middle();
      for (const { key, component } of wantedReplicas(spec)) {
        call.progress?.({ stamp: name, component: component.name, step: "start", state: "begin" });
        call.signal.throwIfAborted();
        bringUp(stamp, key, component);
      }
      finish(stamp, spec);
      return observationOf(name, stamp);
    });
  }

  function there(name: string): SimulatedStamp {
    const stamp = stamps.get(name);
    if (stamp === undefined) throw new StampyardError("STAMP_NOT_FOUND", `No simulated stamp ${name}`);
    return stamp;
  }

  return {
    kind: "local",
    stamps,
    built,
    passed,
    jobs,
    blind,
    apply,
    async plan(spec) {
      return changesBetween(stamps.get(spec.rendered.identity.name), spec);
    },
    update(spec, only, call) {
      const { name } = spec.rendered.identity;
      return change("update", name, call, async () => {
        const stamp = there(name);
        for (const { key, component } of wantedReplicas(spec)) {
          if (component.name === only) bringUp(stamp, key, component);
        }
        if (changesBetween(stamp, spec).length === 0) finish(stamp, spec);
        return observationOf(name, stamp);
      });
    },
    async observe(stamp, signal) {
      await step("observe:before", stamp, undefined, signal);
      const seen = observationOf(stamp, stamps.get(stamp));
      return blind.has(stamp) ? { ...seen, presence: "unknown", reason: "the simulated machine is dark" } : seen;
    },
    async run(spec, job, env, call) {
      const { name } = spec.rendered.identity;
      const script = findComponent(spec.rendered, "job").find((component) => component.name === job)?.command?.[1]?.[0];
      await change("run", name, call, async () => {
        if (script === "fail.mjs") throw new StampyardError("HOOK_FAILED", `Job ${job} of stamp ${name} exited with 3`);
        jobs.push({ stamp: name, job, env });
        const text = `ran with ${env["EXTRA"] ?? ""}`;
        lines.set(name, [...(lines.get(name) ?? []), { component: job, replica: 0, text }]);
      });
    },
    async *logs(stamp, { component, tail = 100 }: LogOptions): AsyncGenerator<LogLine> {
      const all = lines.get(stamp) ?? [];
      yield* all.filter((line) => component === undefined || line.component === component).slice(-tail);
    },
    async destroy(stamp, call) {
      await change("destroy", stamp, call, async (middle) => {
        const found = stamps.get(stamp);
        if (found !== undefined) found.applied = undefined;
        await middle();
        stamps.delete(stamp);
        lines.delete(stamp);
      });
    },
    async operatorUrl(spec, component) {
      const isDatabase = findComponent(spec.rendered, "postgres").some((candidate) => candidate.name === component);
      return isDatabase ? options.operatorUrl?.(spec, component) : undefined;
    },
    async adminUrl(spec, component) {
      const isDatabase = findComponent(spec.rendered, "postgres").some((candidate) => candidate.name === component);
      return isDatabase ? options.adminUrl?.(spec, component) : undefined;
    },
    async isolation() {
      return [{ what: "uid", level: "advisory", why: "A simulated stamp has no process" }];
    },
    killHost(stamp) {
      there(stamp).host = "down";
    },
    setComponent(stamp, component, status) {
      for (const record of there(stamp).components.values()) if (record.name === component) record.status = status;
    },
    moveEndpoints(stamp) {
      const found = there(stamp);
      found.endpoints = endpointsOf(found.spec);
      found.endpointRevision += 1;
    },
    lose(stamp) {
      stamps.delete(stamp);
    },
  };
}
