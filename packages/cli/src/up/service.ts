import { CommandFailure } from "../failure.ts";
import type { Io } from "../io.ts";
import { type Detached, lastLines, startDetached } from "../process/detached.ts";
import { processesWith } from "../process/find.ts";
import { waitFor } from "../process/wait.ts";
import { readRecorded } from "../state-dir.ts";

/** A process of ours that outlives the command which started it. */
export interface ServiceSpec {
  readonly name: "control plane" | "router";
  readonly entry: string;
  readonly mark: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Where it writes down its identity and address. */
  readonly recordFile: string;
  readonly logFile: string;
  /** Answers 2xx when it is ready. */
  readonly readyUrl: (recorded: Running) => string;
  readonly timeoutMs: number;
}

export interface Running {
  readonly url: string;
  readonly adminUrl: string | undefined;
  /** False if it ran already. */
  readonly started: boolean;
}

/**
 * Returns when the service answers, having started it if it did not run.
 *
 * @throws CommandFailure when it ended or was not ready in time, with the last lines of its log
 */
export async function ensureService(io: Pick<Io, "fetch" | "signal">, spec: ServiceSpec): Promise<Running> {
  const child = isThere(spec) ? undefined : startDetached(spec);
  const ready = await waitFor(
    async () => {
      const ended = child?.ended();
      if (ended !== undefined) throw endedEarly(spec, ended);
      const running = readRunning(spec, child);
      return running !== undefined && (await answers(io, spec.readyUrl(running))) ? running : undefined;
    },
    { timeoutMs: spec.timeoutMs, signal: io.signal },
  );
  if (ready !== undefined) return ready;
  throw new CommandFailure(
    "TIMEOUT",
    `The ${spec.name} is not ready after ${Math.round(spec.timeoutMs / 1000)} s${tail(spec)}`,
    {
      mend: `Read ${spec.logFile}, then run the command again.`,
    },
  );
}

/** One that was started a moment ago, by an `up` that did not live to see it ready, has no record yet. */
function isThere(spec: ServiceSpec): boolean {
  return readRecorded(spec.recordFile)?.alive === true || processesWith(`${spec.entry} ${spec.mark} `).length > 0;
}

function readRunning(spec: ServiceSpec, child: Detached | undefined): Running | undefined {
  const recorded = readRecorded(spec.recordFile);
  if (recorded?.alive !== true || recorded.url === undefined) return undefined;
  if (child !== undefined && recorded.identity.pid !== child.identity.pid) return undefined;
  return { url: recorded.url, adminUrl: recorded.adminUrl, started: child !== undefined };
}

async function answers(io: Pick<Io, "fetch" | "signal">, url: string): Promise<boolean> {
  try {
    const response = await io.fetch(url, { signal: AbortSignal.any([io.signal, AbortSignal.timeout(2_000)]) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    io.signal.throwIfAborted();
    return false;
  }
}

function endedEarly(spec: ServiceSpec, ended: { code: number | null; signal: NodeJS.Signals | null }): CommandFailure {
  const said = lastError(lastLines(spec.logFile, 8));
  if (said !== undefined)
    return new CommandFailure(said.code, said.message, said.mend === undefined ? {} : { mend: said.mend });
  const how = ended.signal === null ? `with exit code ${ended.code}` : `by ${ended.signal}`;
  return new CommandFailure("INTERNAL", `The ${spec.name} ended ${how} while starting${tail(spec)}`, {
    mend: `The whole log is ${spec.logFile}.`,
  });
}

/** The clear error that a service of ours ends with, if that is what its log ends with. */
function lastError(log: string): { code: string; message: string; mend?: string } | undefined {
  const found = /(?:^|\n)error: ((?:(?!\nerror: )[\s\S])*) \[([A-Z_]+)\](?:\n {2}try: (.*))?$/.exec(log);
  const [, message, code, mend] = found ?? [];
  if (message === undefined || code === undefined) return undefined;
  return { code, message, ...(mend === undefined ? {} : { mend }) };
}

function tail(spec: ServiceSpec): string {
  const lines = lastLines(spec.logFile, 8);
  return lines === "" ? "" : `; its last lines:\n${lines.replace(/^/gm, "    ")}\n `;
}
