import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import {
  type Component,
  canonicalJson,
  type JobComponent,
  type Json,
  type ServiceComponent,
  StampyardError,
} from "@stampyard/domain";
import type { Goal } from "../goal.ts";
import { isReachable } from "../places.ts";
import { type Probe, probeHttp, probeNats, probePostgres, probeRedis, probeTcp } from "./probe.ts";
import type { Launch } from "./spawn.ts";
import type { Host } from "./state.ts";
import { fillText, secretOf, socketDirOf, type Values } from "./values.ts";

export type Running = Exclude<Component, { kind: "external" | "job" }>;

/** How to run one replica of a component, how to ask after it and how to end it. */
export interface ProcessPlan {
  readonly launch: Launch;
  /** Undefined = being alive is all it can show. */
  readonly probe: Probe | undefined;
  readonly probeTimeoutMs: number;
  readonly startWithinMs: number;
  readonly stop: { readonly signal: NodeJS.Signals; readonly graceMs: number; readonly group: boolean };
  /** Whether a second process may run beside the first during an update. */
  readonly overlaps: boolean;
}

/** Whether a component needs a TCP port from us. */
export function needsPort(component: Component): boolean {
  return component.kind === "nats" || (component.kind === "service" && component.listens);
}

export function planProcess(
  host: Host,
  goal: Goal,
  component: Running,
  replica: number,
  port: number | undefined,
): ProcessPlan {
  switch (component.kind) {
    case "service":
      return planService(host, goal, component, replica, port);
    case "postgres":
      return {
        ...storePlan(host, component, [program(goal, "postgres").path, "-D", dataDirOf(host, component.name)]),
        probe: probePostgres(socketDirOf(host.place, component.name)),
        startWithinMs: 120_000, // Recovery after a crash takes its time.
        stop: { signal: "SIGINT", graceMs: 20_000, group: false },
      };
    case "redis": {
      const { path, libraries } = program(goal, "redis");
      const socket = join(socketDirOf(host.place, component.name), "redis.sock");
      return {
        ...storePlan(host, component, [path, configPathOf(host, component.name)], libraries),
        probe: probeRedis(socket, secretOf(goal.secrets, `${component.name}.password`)),
      };
    }
    case "nats": {
      const { path, libraries } = program(goal, "nats");
      return {
        ...storePlan(host, component, [path, "-c", configPathOf(host, component.name)], libraries),
        probe: probeNats(port ?? 0, secretOf(goal.secrets, `${component.name}.password`)),
      };
    }
  }
}

export function dataDirOf(host: Host, component: string): string {
  return join(host.place.dataDir, component);
}

/** Holds the password, so only the stamp's user reads it. */
export function configPathOf(host: Host, component: string): string {
  return join(host.place.dataDir, `${component}.conf`);
}

function program<K extends "postgres" | "redis" | "nats">(goal: Goal, kind: K): NonNullable<Goal["programs"][K]> {
  const found = goal.programs[kind];
  if (found === undefined) throw new StampyardError("BINARY_MISSING", `No ${kind} server was resolved for this stamp`);
  return found;
}

function storePlan(
  host: Host,
  component: Exclude<Running, ServiceComponent>,
  argv: readonly string[],
  libraries?: string,
): ProcessPlan {
  const env = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
  return {
    launch: {
      component: component.name,
      replica: 0,
      argv,
      env: libraries === undefined ? env : { ...env, LD_LIBRARY_PATH: libraries },
      cwd: host.place.dataDir,
      uid: host.uid,
      resources: component.resources,
    },
    probe: undefined,
    probeTimeoutMs: 2_000,
    startWithinMs: 30_000,
    stop: { signal: "SIGTERM", graceMs: 10_000, group: false },
    overlaps: false,
  };
}

function planService(
  host: Host,
  goal: Goal,
  component: ServiceComponent,
  replica: number,
  port: number | undefined,
): ProcessPlan {
  const { health } = component;
  return {
    launch: planLaunch(host, goal, component, replica, port),
    probe: port === undefined ? undefined : health === undefined ? probeTcp(port) : probeHttp(port, health.path),
    probeTimeoutMs: health?.timeoutMs ?? 2_000,
    startWithinMs: health?.startWithinMs ?? 30_000,
    stop: { signal: "SIGTERM", graceMs: component.stopGraceMs, group: true },
    overlaps: true,
  };
}

/** Command and environment of a service or job. It sees what its template says, and nothing of ours. */
export function planLaunch(
  host: Host,
  goal: Goal,
  component: ServiceComponent | JobComponent,
  replica: number,
  port: number | undefined,
): Launch {
  const values: Values = { goal, place: host.place, instances: host.state.instances };
  const self = { port: port === undefined ? "" : String(port), replica };
  const argv = (component.command ?? []).map((text) => fillText(text, values, self));
  if (argv.length === 0) {
    throw new StampyardError(
      "INVALID_MANIFEST",
      `Component ${component.name} has no command, and the local engine runs no images`,
      {
        mend: `Give ${component.name} a command.`,
      },
    );
  }
  if (argv[0] === "node") argv[0] = process.execPath;
  const env: Record<string, string> = {
    PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
    HOME: join(host.place.dataDir, "home"),
    LANG: "C.UTF-8",
    TZ: "UTC",
  };
  if (port !== undefined) env["PORT"] = String(port);
  for (const [name, text] of Object.entries(component.env)) env[name] = fillText(text, values, self);
  const cwd = resolve(goal.sourceDir, component.workdir ?? ".");
  return {
    component: component.name,
    replica,
    argv,
    env,
    cwd,
    uid: serviceUid(host, cwd),
    resources: component.resources,
  };
}

/** Services need to read the application's files; where the stamp's user cannot, they run as we do, and we say so. */
function serviceUid(host: Host, cwd: string): number | undefined {
  if (host.uid === undefined) return undefined;
  const closed = [cwd, process.execPath].find((path) => !isReachable(path));
  if (closed === undefined) return host.uid;
  host.state.sharedUser = `services run as the user who started Stampyard: ${closed} is closed to the stamp's own user`;
  return undefined;
}

/** What a template says of a component, and its processes need not be told. */
const unheard: ReadonlySet<string> = new Set([
  "protect",
  "ids",
  "via",
  "fence",
  "reference",
  "ignored",
  "replicas",
  "after",
]);

/** Digest of what the template says of a component, as far as its processes notice. */
export function definitionOf(component: Component): string {
  const { name: _, ...rest } = component;
  const heard = Object.entries(rest).filter(([key]) => !unheard.has(key));
  return digest(Object.fromEntries(heard) as Json);
}

/** Digest of all values a process was started with, its own port and our programs' places left out. */
export function inputsOf(host: Host, goal: Goal, component: Running, replica: number): string {
  if (component.kind === "service") {
    const { argv, env, cwd } = planLaunch(host, goal, component, replica, component.listens ? 0 : undefined);
    return digest([argv.slice(1), env, cwd]);
  }
  const own = Object.entries(goal.secrets).filter(([name]) => name.startsWith(`${component.name}.`));
  return digest(Object.fromEntries(own));
}

function digest(value: Json): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
