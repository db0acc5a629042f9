import {
  type CallOptions,
  type Clock,
  type ComponentObservation,
  type ComponentStatus,
  componentsOf,
  type Endpoint,
  type EngineChange,
  findComponent,
  type FencingToken,
  type LogLine,
  type LogOptions,
  type StampEngine,
  StampyardError,
  type StampObservation,
  type StampSpec,
} from "@stampyard/domain";

/** Where a simulated call can be made to fail: before its effect, half way through it, and after it. */
export type EngineStep = `${"apply" | "update" | "destroy" | "run" | "observe"}:${"before" | "middle" | "after"}`;

export interface EngineCall {
  readonly step: EngineStep;
  readonly stamp: string;
  readonly token: FencingToken | undefined;
}

/** One stamp of the simulated world, as it really is. */
export interface SimulatedStamp {
  readonly name: string;
  spec: StampSpec;
  /** Times it was built from nothing; more than once in its life means that its data was lost. */
  built: number;
  complete: boolean;
  host: "up" | "down";
  components: Map<string, ComponentStatus>;
  endpoints: Endpoint[];
  endpointRevision: number;
  token: FencingToken;
}

export interface SimulatedEngine extends StampEngine {
  readonly stamps: ReadonlyMap<string, SimulatedStamp>;
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
  readonly fault?: (call: EngineCall, signal: AbortSignal | undefined) => void | Promise<void>;
  readonly operatorUrl?: (spec: StampSpec, component: string) => string | undefined;
  /** Where the ingress of a stamp listens. @default one loopback endpoint per replica with an invented port */
  readonly endpoints?: (spec: StampSpec) => Endpoint[];
  readonly isJobFailing?: (stamp: string, job: string) => boolean;
}

/** Stamps made of plain data, with faults: as good as the real engine wherever only its contract matters. */
export function createSimulatedEngine(options: SimulatedEngineOptions): SimulatedEngine {
  const { clock } = options;
  const stamps = new Map<string, SimulatedStamp>();
  const passed = new Map<EngineStep, number>();
  const jobs: { stamp: string; job: string; env: Readonly<Record<string, string>> }[] = [];
  const blind = new Set<string>();
  /** Outlives `destroy`: a leader of long ago may not build it again. */
  const tokens = new Map<string, FencingToken>();
  let nextPort = 20_000;

  async function step(name: EngineStep, stamp: string, call: Pick<CallOptions, "token" | "signal"> | AbortSignal) {
    const signal = "token" in call ? call.signal : call;
    const token = "token" in call ? call.token : undefined;
    signal.throwIfAborted();
    passed.set(name, (passed.get(name) ?? 0) + 1);
    await options.fault?.({ step: name, stamp, token }, signal);
    signal.throwIfAborted();
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

  function invent(spec: StampSpec): Endpoint[] {
    const ingress = findComponent(spec.rendered, "service").find((s) => s.name === spec.rendered.ingress.service);
    return Array.from({ length: ingress?.replicas ?? 1 }, () => ({ host: "127.0.0.1", port: nextPort++ }));
  }
  const endpointsOf = options.endpoints ?? invent;

  function begin(spec: StampSpec, token: FencingToken): SimulatedStamp {
    const { name } = spec.rendered.identity;
    const found = stamps.get(name);
    if (found !== undefined) return found;
    const fresh: SimulatedStamp = {
      name,
      spec,
      built: 1,
      complete: false,
      host: "up",
      components: new Map(),
      endpoints: [],
      endpointRevision: 0,
      token,
    };
    stamps.set(name, fresh);
    return fresh;
  }

  function finish(stamp: SimulatedStamp, spec: StampSpec): void {
    stamp.host = "up";
    stamp.spec = spec;
    stamp.complete = true;
    stamp.components = new Map(
      componentsOf(spec.rendered).map((c) => [c.name, c.kind === "job" ? "done" : ("healthy" as ComponentStatus)]),
    );
    if (stamp.endpoints.length > 0) return;
    stamp.endpoints = endpointsOf(spec);
    stamp.endpointRevision += 1;
  }

  async function apply(spec: StampSpec, call: CallOptions): Promise<StampObservation> {
    const { name } = spec.rendered.identity;
    await step("apply:before", name, call);
    fence(name, call.token);
    call.progress?.({ stamp: name, step: "apply", state: "begin" });
    const stamp = begin(spec, call.token);
    await step("apply:middle", name, call);
    finish(stamp, spec);
    call.progress?.({ stamp: name, step: "apply", state: "end", ms: 0 });
    await step("apply:after", name, call);
    return look(name);
  }

  function look(name: string): StampObservation {
    const stamp = stamps.get(name);
    const nothing = { stamp: name, components: [], endpoints: [], endpointRevision: 0 };
    if (stamp === undefined) return { ...nothing, presence: "absent", host: "none" };
    const { rendered } = stamp.spec;
    const components: ComponentObservation[] = [...stamp.components].map(([component, status]) => ({
      name: component,
      replica: 0,
      status,
      restarts: 0,
      since: clock.now(),
    }));
    return {
      stamp: name,
      presence: "present",
      ...(stamp.complete ? { stampDigest: rendered.stampDigest, releaseDigest: rendered.releaseDigest } : {}),
      host: stamp.host,
      components,
      endpoints: [...stamp.endpoints],
      endpointRevision: stamp.endpointRevision,
    };
  }

  function there(name: string): SimulatedStamp {
    const stamp = stamps.get(name);
    if (stamp === undefined) throw new StampyardError("STAMP_NOT_FOUND", `No simulated stamp ${name}`);
    return stamp;
  }

  return {
    kind: "local",
    stamps,
    passed,
    jobs,
    blind,
    apply,
    async plan(spec) {
      const stamp = stamps.get(spec.rendered.identity.name);
      return changesBetween(stamp, spec);
    },
    async update(spec, component, call) {
      const { name } = spec.rendered.identity;
      await step("update:before", name, call);
      fence(name, call.token);
      there(name).components.set(component, "healthy");
      await step("update:after", name, call);
      return look(name);
    },
    async observe(stamp, signal) {
      await step("observe:before", stamp, signal);
      if (blind.has(stamp)) return { ...look(stamp), presence: "unknown", reason: "the simulated machine is dark" };
      return look(stamp);
    },
    async run(spec, job, env, call) {
      const { name } = spec.rendered.identity;
      await step("run:before", name, call);
      fence(name, call.token);
      if (options.isJobFailing?.(name, job) === true) {
        throw new StampyardError("HOOK_FAILED", `Job ${job} of stamp ${name} ended with code 1`);
      }
      jobs.push({ stamp: name, job, env });
      await step("run:after", name, call);
    },
    async *logs(stamp, { component, tail = 100 }: LogOptions): AsyncGenerator<LogLine> {
      const names = component === undefined ? [...there(stamp).components.keys()] : [component];
      for (const name of names.slice(0, tail)) yield { component: name, replica: 0, text: `${name} is up` };
    },
    async destroy(stamp, call) {
      await step("destroy:before", stamp, call);
      fence(stamp, call.token);
      const found = stamps.get(stamp);
      if (found !== undefined) found.complete = false;
      await step("destroy:middle", stamp, call);
      stamps.delete(stamp);
      await step("destroy:after", stamp, call);
    },
    async operatorUrl(spec, component) {
      return options.operatorUrl?.(spec, component);
    },
    async isolation() {
      return [{ what: "uid", level: "advisory", why: "A simulated stamp has no process" }];
    },
    killHost(stamp) {
      there(stamp).host = "down";
    },
    setComponent(stamp, component, status) {
      there(stamp).components.set(component, status);
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

function changesBetween(stamp: SimulatedStamp | undefined, spec: StampSpec): readonly EngineChange[] {
  const names = componentsOf(spec.rendered).map((component) => component.name);
  if (stamp === undefined) return names.map((component) => ({ component, change: "create", why: "new stamp" }));
  const isSame = stamp.complete && stamp.spec.rendered.stampDigest === spec.rendered.stampDigest;
  if (isSame) return [];
  return names.map((component) => ({ component, change: "update", why: "another rendering" }));
}
