import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { CommandFailure } from "../failure.ts";
import { identify, type ProcessIdentity } from "@stampyard/engines/process";

export interface DetachedSpec {
  /** JavaScript file that Node runs. */
  readonly entry: string;
  /** Argument without effect, by which `ps` and we find the process again. */
  readonly mark: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly logFile: string;
}

export interface Detached {
  readonly identity: ProcessIdentity;
  /** Set when it ended while we watch. */
  readonly ended: () => { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
}

const logLimitBytes = 10 * 1024 * 1024;

/**
 * Starts a process that outlives us: its own session, so that Ctrl-C here does not reach it, and log files instead of
 * pipes, so that it does not die when its starter does (decision D11).
 */
export function startDetached(spec: DetachedSpec): Detached {
  mkdirSync(dirname(spec.logFile), { recursive: true, mode: 0o700 });
  rotate(spec.logFile);
  const log = openSync(spec.logFile, "a", 0o600);
  try {
    const child = spawn(process.execPath, ["--enable-source-maps", spec.entry, spec.mark], {
      detached: true,
      stdio: ["ignore", log, log],
      cwd: spec.cwd,
      env: { ...spec.env },
    });
    let ended: { code: number | null; signal: NodeJS.Signals | null } | undefined;
    child.on("exit", (code, signal) => {
      ended = { code, signal };
    });
    child.on("error", () => {
      ended = { code: null, signal: null };
    });
    child.unref();
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (identity === undefined) throw new CommandFailure("INTERNAL", `Cannot start ${spec.entry}`);
    return { identity, ended: () => ended };
  } finally {
    closeSync(log);
  }
}

function rotate(file: string): void {
  try {
    if (statSync(file).size > logLimitBytes) renameSync(file, `${file}.1`);
  } catch {
    // No log yet.
  }
}

/** The last lines of a log, for a message about why something did not start. */
export function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-count).join("\n");
  } catch {
    return "";
  }
}
