import { setTimeout as delay } from "node:timers/promises";
import type { RolloutDetailView } from "../../packages/api/src/index.ts";
import { until } from "../light-fleet.ts";
import type { Variant } from "./faults/releases.ts";
import type { Failed, Load } from "./load.ts";
import type { RolloutFleet } from "./rollout-fleet.ts";

/** What a faulty release came to, from the begin of its rollout to the last stamp that is back. */
export interface FaultReport {
  readonly fault: string;
  /** How its rollout ended, or what it waits for. */
  readonly phase: RolloutDetailView["phase"];
  /** In the rollout's own words. */
  readonly why: string;
  /** Stamps that ever ran it, or were told to. */
  readonly touched: readonly string[];
  /** From the begin of the first update to the decision. */
  readonly detectedMs: number;
  /** From the decision until every touched stamp ran its last good release; undefined = it did not go back. */
  readonly returnedMs?: number;
  /** Requests of clients on the touched stamps meanwhile, and those that failed. */
  readonly inRing: { readonly requests: number; readonly failed: number };
  /** The same on all other stamps. */
  readonly beyond: { readonly requests: number; readonly failed: number };
  /** Releases that answered for stamps beyond the ring. */
  readonly releasesBeyond: readonly string[];
  /** Failed requests by what they were answered, e.g. `shared-1 500 internal by errors`. */
  readonly failures: Readonly<Record<string, number>>;
  /** What the gate said, each time that it said something else. */
  readonly verdicts: readonly string[];
  /** Failed requests of a second, once it is over and routers know, e.g. `shared-1 503 breaker-open`. */
  readonly failedAfter: readonly string[];
}

/** Lets a release go, and looks on until it has ended or waits for a person. */
export async function followFault(
  fleet: RolloutFleet,
  load: Load,
  variant: Variant,
  withinMs: number,
): Promise<FaultReport> {
  load.take();
  const began = await fleet.apply(variant);
  return await followRollout(fleet, load, variant.name, began.id, withinMs);
}

/** The same of a rollout that has begun. */
export async function followRollout(
  fleet: RolloutFleet,
  load: Load,
  fault: string,
  id: string,
  withinMs: number,
): Promise<FaultReport> {
  let updatingAt: number | undefined;
  let decidedAt: number | undefined;
  const verdicts: string[] = [];
  const rollout = await until(
    `rollout ${id} of ${fault} to end`,
    async () => {
      const now = await fleet.rollout(id);
      if (now.phase !== "queued") updatingAt ??= Date.parse(now.since);
      const verdict = verdictOf(now);
      if (verdict !== undefined && verdict !== verdicts.at(-1)) verdicts.push(verdict);
      if (now.phase === "aborting") decidedAt ??= Date.parse(now.since);
      return ["done", "aborted", "superseded", "paused", "approval"].includes(now.phase) ? now : undefined;
    },
    withinMs,
  );
  const touched = (await fleet.members(id))
    .filter(({ phase }) => phase !== "waiting" && phase !== "skipped")
    .map(({ stamp }) => stamp);
  const beyond = fleet.stamps.filter((stamp) => !touched.includes(stamp));
  const releasesBeyond = [...new Set(beyond.flatMap((stamp) => load.releases(stamp)))].sort();
  const { counts, failed } = load.take();
  const sum = (stamps: readonly string[]) => {
    const all = stamps.flatMap((stamp) => counts.get(stamp) ?? []);
    return {
      requests: all.reduce((total, { requests }) => total + requests, 0),
      failed: all.reduce((total, { failed }) => total + failed, 0),
    };
  };
  // Until every router sends requests to what runs again.
  await delay(2_000);
  load.take();
  await delay(1_000);
  const endedAt = Date.parse(rollout.since);
  const isBack = rollout.phase === "aborted";
  return {
    fault,
    phase: rollout.phase,
    why: rollout.why ?? rollout.waitingOn ?? "",
    touched,
    detectedMs: (decidedAt ?? endedAt) - (updatingAt ?? endedAt),
    ...(isBack ? { returnedMs: endedAt - (decidedAt ?? endedAt) } : {}),
    inRing: sum(touched),
    beyond: sum(beyond),
    releasesBeyond,
    failures: tallyOf(failed),
    verdicts,
    failedAfter: load.take().failed.map(({ stamp, status, code }) => `${stamp} ${status} ${code}`),
  };
}

function verdictOf({ gate, phase }: RolloutDetailView): string | undefined {
  if (gate === undefined) return undefined;
  const said = gate.checks.filter(({ name, verdict }) => verdict !== "go" || name === "errors" || name === "latency");
  return `${phase} ${gate.verdict}: ${said.map(({ name, verdict, text }) => `${name} ${verdict} (${text})`).join("; ")}`;
}

function tallyOf(failed: readonly Failed[]): Readonly<Record<string, number>> {
  const tally: Record<string, number> = {};
  for (const { stamp, status, code, release } of failed) {
    const key = `${stamp} ${status} ${code} by ${release || "nobody"}`;
    tally[key] = (tally[key] ?? 0) + 1;
  }
  return tally;
}

/** One line for a reader of the run. */
export function faultLine(report: FaultReport): string {
  const { fault, phase, why, touched, detectedMs, returnedMs, inRing, beyond } = report;
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  const back = returnedMs === undefined ? "" : `, back in ${seconds(returnedMs)}`;
  return `${fault}: ${phase} on ${touched.join(", ") || "nobody"} after ${seconds(detectedMs)}${back}; ${inRing.failed} of ${inRing.requests} requests failed there, ${beyond.failed} of ${beyond.requests} elsewhere; ${why}`;
}
