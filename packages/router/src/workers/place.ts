import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import type { Server, Socket } from "node:net";
import { identify, type ProcessIdentity } from "../process-record.ts";
import type { FromWorker, ToWorker, WorkerPulse } from "./messages.ts";

/** One worker process, as its parent sees it. */
export interface WorkerProcess {
  readonly pid: number;
  readonly identity: ProcessIdentity | undefined;
  /** What cannot be sent is lost: the worker is about to be gone, and its successor gets everything. */
  send(message: ToWorker, handle?: Server | Socket): void;
  kill(): void;
  pulse: WorkerPulse | undefined;
  appliedSeq: number;
}

export interface WorkerEvents {
  message(worker: WorkerProcess, message: FromWorker): void;
  exit(worker: WorkerProcess, how: string): void;
}

const entryName = "@stampyard/router/worker-main";

/**
 * What lives long in a worker is small, so V8 would look through all of it as soon as a few megabytes have come to it:
 * under load every two seconds, for 5 to 8 ms of standing still each time. From here on it waits for this many MiB.
 */
export const workerFlags: readonly string[] = ["--initial-old-space-size=128"];

/** Path of the worker's entry; it runs what was built. */
export function workerEntry(): string {
  return createRequire(import.meta.url).resolve(entryName);
}

/** Starts a process. It never throws: one that cannot be started exits at once. */
export function startWorker(events: WorkerEvents): WorkerProcess {
  // Arguments of ours have no effect; by them people, and `down`, find out whose process it is.
  const child = fork(workerEntry(), process.argv.slice(2).filter(isMark), {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    execArgv: [...workerFlags, ...process.execArgv.filter((flag) => flag === "--enable-source-maps")],
  });
  const { pid = 0 } = child;
  const worker: WorkerProcess = {
    pid,
    identity: pid === 0 ? undefined : identify(pid),
    send: (message, handle) => send(child, message, handle),
    kill: () => void child.kill("SIGKILL"),
    pulse: undefined,
    appliedSeq: 0,
  };
  let ended = false;
  const end = (how: string) => {
    if (ended) return;
    ended = true;
    events.exit(worker, how);
  };
  child.on("message", (message) => events.message(worker, message as FromWorker));
  child.on("error", (error) => {
    // Not started, or could not be sent to: only the first means that no exit follows.
    if (child.pid === undefined) end(error.message);
  });
  child.on("exit", (code, signal) => end(signal === null ? `exit code ${code}` : signal));
  return worker;
}

function isMark(argument: string): boolean {
  return argument.startsWith("--state=");
}

function send(child: ChildProcess, message: ToWorker, handle?: Server | Socket): void {
  if (child.connected) child.send(message, handle, () => {});
}
