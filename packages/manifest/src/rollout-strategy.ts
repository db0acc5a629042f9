import type {
  GateProbe,
  GateQuery,
  GateRule,
  RolloutHook,
  RolloutStrategy,
  WaveRule,
  WaveSize,
} from "@stampyard/domain";
import { parseDuration } from "./quantity.ts";
import type { RolloutFile } from "./rollout-file.ts";
import { splitCommand } from "./text.ts";

type WaveFile = NonNullable<RolloutFile["waves"]>[number];
type GateFile = NonNullable<RolloutFile["gate"]>;

/** What a file says, over what holds without it. Lists are replaced as a whole; everything else field by field. */
export function buildStrategy(file: RolloutFile, base: RolloutStrategy): RolloutStrategy {
  const { canary, ...rest } = base;
  const built = buildCanary(file, canary);
  return {
    ...rest,
    ...(built === undefined ? {} : { canary: built }),
    waves: file.waves?.map(buildWave) ?? base.waves,
    maxUnavailable: file.maxUnavailable ?? base.maxUnavailable,
    bakeMs: parsed(file.bake) ?? base.bakeMs,
    updateWithinMs: parsed(file.updateWithin) ?? base.updateWithinMs,
    lateRing: file.lateRing ?? base.lateRing,
    gate: buildGate(file.gate ?? {}, base.gate),
    hooks: file.hooks?.flatMap(buildHook) ?? base.hooks,
    onAbort: file.onAbort ?? base.onAbort,
    onNewer: file.onNewer ?? base.onNewer,
  };
}

const leastPerMinute = 60;

function buildCanary(file: RolloutFile, base: RolloutStrategy["canary"]): RolloutStrategy["canary"] {
  const given = file.canary;
  if (given === false) return undefined;
  if (given === undefined && base === undefined) return undefined;
  // Who names how long waves are watched means the first one too.
  const bakeMs = parsed(given?.bake) ?? parsed(file.bake) ?? base?.bakeMs;
  const stamp = given?.stamp ?? base?.stamp;
  const approval = given?.approval ?? base?.approval;
  return {
    leastPerMinute: given?.leastPerMinute ?? base?.leastPerMinute ?? leastPerMinute,
    ...(stamp === undefined ? {} : { stamp }),
    ...(bakeMs === undefined ? {} : { bakeMs }),
    ...(approval === undefined ? {} : { approval }),
  };
}

function buildWave(file: WaveFile): WaveRule {
  const { name, maxUnavailable, approval } = file;
  const bakeMs = parsed(file.bake);
  return {
    ...(name === undefined ? {} : { name }),
    size: sizeOf(file),
    ...(bakeMs === undefined ? {} : { bakeMs }),
    ...(maxUnavailable === undefined ? {} : { maxUnavailable }),
    ...(approval === undefined ? {} : { approval }),
  };
}

function sizeOf({ count, percent, labels }: WaveFile): WaveSize {
  if (labels !== undefined) {
    const { region, pool, tier, ring } = labels;
    const named = {
      ...(region === undefined ? {} : { region }),
      ...(pool === undefined ? {} : { pool }),
      ...(tier === undefined ? {} : { tier }),
      ...(ring === undefined ? {} : { ring }),
    };
    return { kind: "labels", labels: named, ...(count === undefined ? {} : { count }) };
  }
  if (count !== undefined) return { kind: "count", count };
  return percent === undefined ? { kind: "rest" } : { kind: "percent", percent };
}

function buildGate(file: GateFile, base: GateRule): GateRule {
  const { errors, tenant } = file;
  const queueLag = file.queueLag ?? base.queueLag;
  return {
    enforced: file.enforced ?? base.enforced,
    errors: {
      worse: errors?.worse ?? base.errors.worse,
      leastRequests: {
        updated: errors?.leastRequests?.updated ?? base.errors.leastRequests.updated,
        siblings: errors?.leastRequests?.siblings ?? base.errors.leastRequests.siblings,
      },
    },
    latency: { worseMs: parsed(file.latency?.worse) ?? base.latency.worseMs },
    mostErrors: file.mostErrors ?? base.mostErrors,
    tenant: {
      leastRequests: tenant?.leastRequests ?? base.tenant.leastRequests,
      errorShare: tenant?.errorShare ?? base.tenant.errorShare,
    },
    mostRestarts: file.mostRestarts ?? base.mostRestarts,
    ...(queueLag === undefined ? {} : { queueLag }),
    probes: file.probes?.flatMap(buildProbe) ?? base.probes,
    queries: file.queries?.map(buildQuery) ?? base.queries,
    alpha: file.alpha ?? base.alpha,
    waitMs: parsed(file.wait) ?? base.waitMs,
  };
}

/** Empty for one that is neither; the checks say so. */
function buildProbe(file: NonNullable<GateFile["probes"]>[number]): readonly GateProbe[] {
  const { name, path, status, command } = file;
  const timeoutMs = parsed(file.timeout) ?? 5_000;
  if (path !== undefined) return [{ kind: "http", name, path, status: status ?? 200, timeoutMs }];
  return command === undefined ? [] : [{ kind: "command", name, command: wordsOf(command), timeoutMs }];
}

function buildQuery({ name, url, query, atMost, atLeast }: NonNullable<GateFile["queries"]>[number]): GateQuery {
  return {
    name,
    url,
    query,
    ...(atMost === undefined ? {} : { atMost }),
    ...(atLeast === undefined ? {} : { atLeast }),
  };
}

function buildHook(file: NonNullable<RolloutFile["hooks"]>[number]): readonly RolloutHook[] {
  const { name, point, url, command } = file;
  const whole = {
    name,
    point,
    timeoutMs: parsed(file.timeout) ?? 30_000,
    onFailure: file.onFailure ?? "pause",
  } as const;
  if (url !== undefined) return [{ ...whole, call: { kind: "http", url } }];
  return command === undefined ? [] : [{ ...whole, call: { kind: "command", command: wordsOf(command) } }];
}

function wordsOf(command: string | readonly string[]): readonly string[] {
  if (typeof command !== "string") return command;
  const split = splitCommand(command);
  return split.kind === "words" ? split.words : [];
}

function parsed(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDuration(text);
}
