import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Resources, StampyardError } from "@stampyard/domain";
import { asDiskError } from "../file.ts";
import { enterLimits } from "../limits.ts";
import { identify, markerVariable, type ProcessIdentity } from "../process/identity.ts";
import { type Host, instanceKey } from "./state.ts";

/** What to start for one replica, with every value filled in. */
export interface Launch {
  readonly component: string;
  readonly replica: number;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly uid: number | undefined;
  readonly resources: Resources | undefined;
}

/**
 * Starts a process that outlives us: its own session, no pipe to us, output appended to its log file (decision D11).
 * @throws StampyardError STAMP_FAILED when the program cannot be started
 */
export async function launch(host: Host, order: Launch): Promise<ProcessIdentity> {
  const [program = "", ...args] = order.argv;
  const key = instanceKey(order.component, order.replica);
  const log = openLog(host, key);
  try {
    const child = spawn(program, args, {
      cwd: order.cwd,
      env: { ...order.env, [markerVariable]: `${host.place.marker}:${key}` },
      stdio: ["ignore", log, log],
      detached: true,
      ...(order.uid === undefined ? {} : { uid: order.uid, gid: order.uid }),
    });
    const { pid } = child;
    if (pid === undefined) {
      const cause = await new Promise<NodeJS.ErrnoException>((settle) => child.once("error", settle));
      const what = cause.code === "ENOENT" ? "the program or its work directory is not there" : (cause.code ?? "");
      throw new StampyardError("STAMP_FAILED", `Component ${order.component} cannot start ${program}: ${what}`, {
        cause,
      });
    }
    child.on("error", () => {}); // A later failure to signal it is seen by its identity.
    child.once("exit", (code, signal) => {
      if (host.exits.size > 500) host.exits.clear();
      host.exits.set(pid, signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`);
      host.onExit();
    });
    enterLimits(host.place.marker, key, pid, order.resources);
    // Between spawn and here it may have ended; then its identity is one that nobody has, which reads as not alive.
    return identify(pid) ?? { bootId: "", pid, startTime: "" };
  } finally {
    closeSync(log);
  }
}

/** How a process ended. The system shows it gone a moment before we are told. */
export async function exitNote(host: Host, pid: number, withinMs: number): Promise<string> {
  for (let waited = 0; waited < withinMs; waited += 5) {
    const note = host.exits.get(pid);
    if (note !== undefined) return note;
    await sleep(5);
  }
  return "it ended in an unknown way";
}

function openLog(host: Host, key: string): number {
  try {
    mkdirSync(host.place.logDir, { recursive: true, mode: 0o700 });
    return openSync(join(host.place.logDir, `${key}.log`), "a", 0o600);
  } catch (error) {
    throw asDiskError(error, host.place.logDir);
  }
}
