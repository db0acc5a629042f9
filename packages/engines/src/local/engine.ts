import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type CallOptions,
  componentsOf,
  type FencingToken,
  findComponent,
  type Progress,
  type StampEngine,
  type StampObservation,
  type StampSpec,
  StampyardError,
} from "@stampyard/domain";
import { askHost, HostGone, type HostRequest } from "./control.ts";
import { destroyStamp } from "./destroy.ts";
import { factsOf } from "./facts.ts";
import { readJson } from "./file.ts";
import { freeBytesIn } from "./free-bytes.ts";
import { type Goal, goalOf, type Programs } from "./goal.ts";
import { readState } from "./host/state.ts";
import { postgresUrl } from "./host/values.ts";
import { askStamp } from "./host-client.ts";
import { checkToken, defaultPortRange, lastToken, type Ledger, type PortRange } from "./ledger.ts";
import { isolationFacts } from "./limits.ts";
import { tryLock } from "./lock.ts";
import { followLogs } from "./logs.ts";
import { observationOf } from "./observation.ts";
import { defaultLedgerFile, placeOf } from "./places.ts";
import { planChanges } from "./plan.ts";
import type { RoleSecret } from "./postgres/roles.ts";
import { ensureTemplate } from "./postgres/template.ts";
import { type BinaryKind, resolveBinary } from "./resolver/binaries.ts";
import { makeCacheDir } from "./resolver/cache.ts";

export interface LocalEngineOptions {
  /** Where stamps live. Made when missing. */
  readonly stateDir: string;
  /** TCP ports for services and NATS. @default 21000 to 29999 */
  readonly portRange?: PortRange;
  /** @default STAMPYARD_CACHE, /var/cache/stampyard as root, ~/.cache/stampyard otherwise */
  readonly cacheDir?: string;
  /** Where uids and ports in use on this machine are recorded. */
  readonly ledgerFile?: string;
  /** Whether `apt-get install` may be used for a missing server. @default false */
  readonly allowInstall?: boolean;
}

export interface LocalEngine extends StampEngine {
  readonly kind: "local";
  /** Ends a stamp's processes and keeps its data; `apply` brings it back. Fine on an absent stamp. */
  stop(stamp: string, options: CallOptions): Promise<void>;
  /** Names of the stamps that have anything in the state directory. */
  stamps(): Promise<readonly string[]>;
  /**
   * The last leader's token. Who stopped the control plane may act with it: a higher one would lock the next leader out.
   */
  lastToken(): FencingToken;
}

/** Opens the engine that runs stamps as processes of this machine. Nothing is started or fetched yet. */
export async function openLocalEngine(options: LocalEngineOptions): Promise<LocalEngine> {
  const stateDir = resolve(options.stateDir);
  const range = options.portRange ?? defaultPortRange;
  const ledger: Ledger = { file: options.ledgerFile ?? defaultLedgerFile(), range };
  const settings: Settings = { ...options, stateDir, ledger };
  return {
    kind: "local",
    async plan(spec, signal) {
      const stamp = spec.rendered.identity.name;
      return planChanges(spec, readState(placeOf(stateDir, stamp)), await observe(settings, stamp, signal));
    },
    apply: (spec, call) => change(settings, spec, call, (goal) => ({ op: "apply", token: call.token, goal })),
    update: (spec, only, call) =>
      change(settings, spec, call, (goal) => ({ op: "apply", token: call.token, goal, only })),
    observe: (stamp, signal) => observe(settings, stamp, signal),
    async run(spec, job, env, call) {
      await change(settings, spec, call, (goal) => ({ op: "run", token: call.token, goal, job, env }));
    },
    logs: (stamp, call) => followLogs(placeOf(stateDir, stamp), call),
    async destroy(stamp, call) {
      const place = placeOf(stateDir, stamp);
      if (existsSync(stateDir)) await checkToken(ledger, stateDir, call.token);
      await destroyStamp(place, ledger, call);
    },
    operatorUrl: async (spec, component) => databaseUrl(settings, spec, component, "moverPassword"),
    adminUrl: async (spec, component) => databaseUrl(settings, spec, component, "superPassword"),
    freeBytes: (stamp, component) => freeBytesIn(join(placeOf(stateDir, stamp).dataDir, component)),
    facts: async (stamp) => factsOf(placeOf(stateDir, stamp)),
    isolation: async () => isolationFacts(),
    stop: (stamp, call) => stopStamp(settings, stamp, call),
    async stamps() {
      const dir = join(stateDir, "stamps");
      return existsSync(dir) ? readdirSync(dir).sort() : [];
    },
    lastToken: () => lastToken(ledger, stateDir),
  };
}

interface Settings extends LocalEngineOptions {
  readonly ledger: Ledger;
}

/** By the database's socket, which only we and root can reach. */
function databaseUrl(settings: Settings, spec: StampSpec, component: string, role: RoleSecret): string | undefined {
  const found = findComponent(spec.rendered, "postgres").some((candidate) => candidate.name === component);
  if (!found) return undefined;
  return postgresUrl(placeOf(settings.stateDir, spec.rendered.identity.name), spec.secrets, component, role);
}

/** One change through the stamp's host. The token is checked here too, for a stamp that has no host yet. */
async function change(
  settings: Settings,
  spec: StampSpec,
  call: CallOptions,
  request: (goal: Goal) => HostRequest,
): Promise<StampObservation> {
  const stamp = spec.rendered.identity.name;
  const place = placeOf(settings.stateDir, stamp);
  call.signal.throwIfAborted();
  const externals = readExternalSecrets(spec);
  const programs = await resolvePrograms(settings, spec, call);
  await checkToken(settings.ledger, settings.stateDir, call.token);
  return askStamp(place, settings.ledger, request(goalOf(spec, programs, externals)), {
    signal: call.signal,
    ...(call.progress === undefined ? {} : { progress: call.progress }),
  });
}

/** The servers that this stamp's components need, fetched or unpacked where they are not here yet. */
async function resolvePrograms(settings: Settings, spec: StampSpec, call: CallOptions): Promise<Programs> {
  const kinds = new Set(componentsOf(spec.rendered).map((component) => component.kind));
  const cacheDir = makeCacheDir(settings.cacheDir);
  const say = (detail: string) =>
    call.progress?.({
      stamp: spec.rendered.identity.name,
      step: "fetch",
      state: "begin",
      detail,
    } satisfies Parameters<Progress>[0]);
  const common = { cacheDir, progress: say, signal: call.signal };
  const resolveIf = async (kind: BinaryKind) =>
    kinds.has(kind) ? resolveBinary(kind, { ...common, allowInstall: settings.allowInstall === true }) : undefined;
  const [postgres, redis, nats] = await Promise.all([
    resolveIf("postgres").then(async (binary) =>
      binary === undefined ? undefined : { path: binary.path, template: await ensureTemplate(binary, common) },
    ),
    resolveIf("redis"),
    resolveIf("nats"),
  ]);
  const runnable = (binary: { path: string; libraries?: string }) =>
    binary.libraries === undefined ? { path: binary.path } : { path: binary.path, libraries: binary.libraries };
  return {
    ...(postgres === undefined ? {} : { postgres }),
    ...(redis === undefined ? {} : { redis: runnable(redis) }),
    ...(nats === undefined ? {} : { nats: runnable(nats) }),
  };
}

/** Secrets of external components, which only the caller's environment and files hold. */
function readExternalSecrets(spec: StampSpec): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { name, secret } of findComponent(spec.rendered, "external")) {
    if (secret === undefined) continue;
    const value = readSecret(secret);
    if (value === undefined || value === "") {
      throw new StampyardError("INVALID_REQUEST", `The secret of ${name} is not there: ${secret}`, {
        mend: secret.startsWith("env:")
          ? `Set the environment variable ${secret.slice(4)} where the control plane runs.`
          : `Write the secret to ${secret.replace(/^file:/, "")}, readable for the control plane.`,
      });
    }
    found[name] = value;
  }
  return found;
}

function readSecret(reference: string): string | undefined {
  if (reference.startsWith("env:")) return process.env[reference.slice(4)];
  try {
    return readFileSync(reference.replace(/^file:/, ""), "utf8").trim();
  } catch {
    return undefined;
  }
}

async function observe(settings: Settings, stamp: string, signal: AbortSignal): Promise<StampObservation> {
  const place = placeOf(settings.stateDir, stamp);
  const nothing = { stamp, host: "none", components: [], endpoints: [], endpointRevision: 0 } as const;
  if (!existsSync(place.dir)) return { ...nothing, presence: "absent" };
  try {
    return await askHost(
      place.controlSocket,
      { op: "status" },
      { signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) },
    );
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof HostGone)) {
      return { ...nothing, presence: "unknown", reason: "its stamp host does not answer" };
    }
  }
  const state = readState(place);
  if (state === undefined) return { ...nothing, presence: "present", host: "down", reason: "it was only begun" };
  return observationOf(stamp, state, readJson<Goal>(place.specFile)?.rendered, "down");
}

const hostEndsWithinMs = 5_000;

async function stopStamp(settings: Settings, stamp: string, call: CallOptions): Promise<void> {
  const place = placeOf(settings.stateDir, stamp);
  if (!existsSync(place.dir)) return;
  await checkToken(settings.ledger, settings.stateDir, call.token);
  await askStamp(place, settings.ledger, { op: "stop", token: call.token }, { signal: call.signal });
  // It has answered and is about to end. Who hears that all is stopped must not still meet it.
  for (const deadline = performance.now() + hostEndsWithinMs; performance.now() < deadline; await sleep(5)) {
    const lock = tryLock(place.hostLock);
    if (lock === undefined) continue;
    lock[Symbol.dispose]();
    return;
  }
}
