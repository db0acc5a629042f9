import type { Client, StampView } from "@stampyard/api";
import type { CommonOptions, Run } from "../define.ts";
import { exitCode } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import type { LiveView } from "../output/live.ts";
import { liveView } from "../output/live.ts";
import type { ProgressNode } from "../output/progress-tree.ts";
import { styleFor } from "../output/style.ts";
import { waitFor } from "../process/wait.ts";
import { isReady, type ProgressOf, stampNode, whatIsMissing } from "./stamp-nodes.ts";

export interface FollowOptions {
  readonly timeoutMs: number;
  /** Names that must become ready. @default every stamp of ours that is to stay */
  readonly only?: ReadonlySet<string>;
  /** Command that goes on watching. */
  readonly again: string;
  /** Failed attempts of one stamp after which to stop watching. @default 3 */
  readonly attempts?: number;
}

/** A template that fails this often in a row will not mend itself while somebody watches. */
const patience = 3;

/** The view that a command's options ask for: none for JSON. */
export function viewFor(run: Pick<Run<unknown>, "io"> & { readonly options: Pick<CommonOptions, "output"> }): LiveView {
  const started = performance.now();
  if (run.options.output !== "table")
    return { show: () => undefined, note: () => undefined, [Symbol.dispose]: () => undefined };
  return liveView(run.io.err, styleFor(run.io.err, run.io.env), () => performance.now() - started);
}

/** Shows stamps until they are ready. */
export async function followStamps(
  run: Pick<Run<unknown>, "io"> & { readonly options: Pick<CommonOptions, "output"> },
  client: Client,
  options: FollowOptions,
): Promise<readonly StampView[]> {
  using view = viewFor(run);
  return await watchStamps(client, options, run.io.signal, (nodes) => view.show(nodes));
}

/**
 * Looks at the stamps until all are ready. Reads states, and takes events only as decoration, so a lost event costs nothing.
 *
 * @throws CommandFailure STAMP_FAILED when one failed too often, TIMEOUT (exit code 3) when time ran out
 */
export async function watchStamps(
  client: Client,
  options: FollowOptions,
  signal: AbortSignal,
  show: (nodes: readonly ProgressNode[]) => void,
): Promise<readonly StampView[]> {
  const latest = new Map<string, ProgressOf>();
  const listening = new AbortController();
  const heard = listen(client, AbortSignal.any([signal, listening.signal]), latest);
  let last: readonly StampView[] = [];
  try {
    const ready = await waitFor(
      async () => {
        last = await wantedStamps(client, options.only, signal);
        show(last.map((stamp) => stampNode(stamp, latest)));
        const hopeless = last.find((s) => s.phase === "failed" && (s.attempt ?? 1) >= (options.attempts ?? patience));
        if (hopeless !== undefined) throw stampFailed(hopeless, options.again);
        const complete = options.only === undefined || last.length >= options.only.size;
        return complete && last.every(isReady) ? last : undefined;
      },
      { timeoutMs: options.timeoutMs, signal, everyMs: 200 },
    );
    if (ready !== undefined) return ready;
  } finally {
    listening.abort();
    await heard;
  }
  throw notReadyInTime(last, options);
}

async function wantedStamps(client: Client, only: ReadonlySet<string> | undefined, signal: AbortSignal) {
  const all = await client.all("stampList", { query: { limit: 500 }, signal });
  return all.filter((stamp) =>
    only === undefined
      ? stamp.goal !== "absent" && stamp.phase !== "gone" && stamp.origin === "built"
      : only.has(stamp.name),
  );
}

async function listen(client: Client, signal: AbortSignal, latest: Map<string, ProgressOf>): Promise<void> {
  try {
    for await (const event of await client.events({ signal })) {
      if (event.kind === "progress") latest.set(`${event.stamp} ${event.component ?? ""}`, event);
    }
  } catch {
    // Decoration only: the states tell the truth.
  }
}

function stampFailed(stamp: StampView, again: string): CommandFailure {
  return new CommandFailure(
    "STAMP_FAILED",
    `Stamp ${stamp.name} failed ${stamp.attempt} times: ${stamp.cause ?? "no cause known"}`,
    {
      mend: `Read \`stampyard stamp logs ${stamp.name}\`, mend the cause, then go on with \`${again}\`; it is retried meanwhile.`,
    },
  );
}

function notReadyInTime(stamps: readonly StampView[], options: FollowOptions): CommandFailure {
  const late = stamps.find((stamp) => !isReady(stamp));
  const why = late === undefined ? "no stamp is known yet" : `stamp ${late.name}: ${whatIsMissing(late)}`;
  const seconds = Math.round(options.timeoutMs / 1000);
  return new CommandFailure("TIMEOUT", `Not ready within ${seconds} s: ${why}`, {
    mend: `The work goes on; watch it again with \`${options.again}\`.`,
    exit: exitCode.notReady,
  });
}
