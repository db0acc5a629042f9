import { randomUUID } from "node:crypto";
import type { ControlPlane, CountsReport } from "./control-plane.ts";
import type { TenantWindow } from "./failing-tenants.ts";
import type { Log } from "./log.ts";
import type { Counts } from "./metrics.ts";

export interface CountsTeller {
  /** The control plane was heard anew: it is told at once, also one that did not know of counts before. */
  wake(): void;
  done(): Promise<void>;
}

/** Until the control plane says how often it wants them. */
const firstEveryMs = 10_000;
const leastEveryMs = 100;
const mostEveryMs = 60_000;
/** A control plane that does not know of counts may be replaced by one that does. */
const unknownEveryMs = 60_000;
const mostOfWatched = 20;
const mostOfOthers = 100;

/**
 * Tells what was counted since this router started, again and again: a report that is lost costs nothing but time. The
 * rate follows what the control plane asks for.
 */
export function createCountsTeller(options: {
  readonly controlPlane: Pick<ControlPlane, "tellCounts"> | undefined;
  readonly router: string;
  /** Of all processes, those that ended included. */
  readonly counts: () => Promise<Counts>;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Wall time in milliseconds, asked once; within a life only the clock that never jumps is used. @default Date.now */
  readonly now?: () => number;
}): CountsTeller {
  const { controlPlane, router, counts, signal, log, now = Date.now } = options;
  const life = randomUUID();
  const offset = now() - performance.now();
  let number = 0;
  let watched: ReadonlySet<string> = new Set();
  let everyMs = firstEveryMs;
  let trouble: string | undefined;
  let isHeard = false;
  let isWoken = false;
  let wake = () => {};

  async function tell(plane: Pick<ControlPlane, "tellCounts">): Promise<void> {
    try {
      const counted = await counts();
      number += 1;
      const at = Math.round(offset + performance.now());
      const answer = await plane.tellCounts(reportOf(counted, { router, life, number, at, watched }), signal);
      watched = new Set(answer.watched);
      everyMs = Math.min(mostEveryMs, Math.max(leastEveryMs, answer.everyMs ?? firstEveryMs));
      trouble = undefined;
    } catch (caught) {
      if (signal.aborted) return;
      if (isUnknown(caught)) everyMs = unknownEveryMs;
      const reason = String(caught);
      if (reason !== trouble) log("warn", "counts could not be told", { reason });
      trouble = reason;
    }
  }

  async function run(plane: Pick<ControlPlane, "tellCounts">): Promise<void> {
    while (!signal.aborted) {
      isWoken = false;
      if (isHeard) await tell(plane);
      if (signal.aborted) return;
      if (isWoken) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, isHeard ? everyMs : mostEveryMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  const running = controlPlane === undefined ? Promise.resolve() : run(controlPlane);
  signal.addEventListener("abort", () => wake());
  return {
    wake() {
      isHeard = true;
      isWoken = true;
      wake();
    },
    done: () => running,
  };
}

interface Telling {
  readonly router: string;
  readonly life: string;
  readonly number: number;
  readonly at: number;
  readonly watched: ReadonlySet<string>;
}

function reportOf({ stamps }: Counts, { router, life, number, at, watched }: Telling): CountsReport {
  const failing: CountsReport["failing"][number][] = [];
  const others: CountsReport["failing"][number][] = [];
  for (const [stamp, counted] of stamps) {
    const rows = [...counted.failing].filter(isWorthTelling).map(([tenant, { requests, errors, since }]) => {
      const forMs = since === 0 ? 0 : Math.max(0, at - since);
      return { stamp, tenant, requests, errors, forMs };
    });
    rows.sort((left, right) => right.errors - left.errors);
    if (watched.has(stamp)) failing.push(...rows.slice(0, mostOfWatched));
    else others.push(...rows.slice(0, mostOfWatched));
  }
  others.sort((left, right) => right.errors - left.errors);
  return {
    router,
    life,
    number,
    countedAt: at,
    stamps: Object.fromEntries(
      [...stamps].map(([stamp, { requests, faults, buckets }]) => [
        stamp,
        { requests, errors: faults, latency: [...buckets] },
      ]),
    ),
    failing: [...failing, ...others.slice(0, mostOfOthers)],
  };
}

/** Few enough to add up over routers; who rules on them knows the whole. */
function isWorthTelling([, { requests, errors }]: readonly [string, TenantWindow]): boolean {
  return requests >= 5 && errors * 5 >= requests;
}

/** Of a control plane that is older than these reports. */
function isUnknown(caught: unknown): boolean {
  const { status } = caught as { readonly status?: unknown };
  return status === 404 || status === 405;
}
