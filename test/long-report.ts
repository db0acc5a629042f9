import { appendFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const file = process.env["STAMPYARD_LONG_REPORT"];

/** What a part of a suite came to, for the record of a long run (`scripts/long-run.mjs`); otherwise nothing happens. */
export function report(part: string, figures: Readonly<Record<string, unknown>>): void {
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ part, ...figures })}\n`);
}

/**
 * Begins to measure this process, which holds router, stamps and clients of a suite. The function that it returns gives the
 * figures: a growing heap is somebody's leak, and an event loop that stood still for long says that the machine was
 * starved.
 */
export function measureLong(): () => Readonly<Record<string, unknown>> {
  if (file === undefined) return () => ({});
  const startedAt = performance.now();
  const before = memoryMiB();
  const loop = monitorEventLoopDelay({ resolution: 10 });
  loop.enable();
  return () => {
    loop.disable();
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
    return { seconds, eventLoopMaxMs: Math.round(loop.max / 1e6), memoryMiB: { before, after: memoryMiB() } };
  };
}

/** After a collection, since what can be freed is no leak. */
function memoryMiB(): { readonly heap: number; readonly rss: number } {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: Math.round(heapUsed / 2 ** 20), rss: Math.round(rss / 2 ** 20) };
}
