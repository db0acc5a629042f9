import { type ChildProcess, spawn } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type HistoryFleet, historyFleet, until } from "./history-fleet.ts";

const child = join(dirname(fileURLToPath(import.meta.url)), "crash-child.ts");

/** What is to become of the next control plane. */
export interface Fate {
  /** It is killed there. @default nowhere */
  readonly crashAt?: string;
  /** The move is to be aborted there. */
  readonly abortAt?: string;
  /** The move that it only finishes. */
  readonly spared?: string;
}

export interface CrashFleet extends AsyncDisposable {
  readonly fleet: HistoryFleet;
  /** Starts a control plane where the first one was; returns when it leads. */
  start(fate: Fate): Promise<void>;
  /** Until the present one has died by its own hand. */
  dead(withinMs?: number): Promise<void>;
  kill(): Promise<void>;
  log(): string;
}

/** A fleet whose control plane is a process of ours, which dies where it is told to. */
export async function crashFleet(name: string): Promise<CrashFleet> {
  const fleet = await historyFleet({ name });
  const record = join(fleet.state, "control-plane.json");
  const { url, pid } = JSON.parse(readFileSync(record, "utf8")) as { url: string; pid: number };
  const listen = new URL(url).host;
  process.kill(pid, "SIGKILL");
  await until("the first control plane to be gone", () =>
    fleet.pidOf({ kind: "control-plane" }) === undefined ? true : undefined,
  );
  let running: ChildProcess | undefined;
  const logFile = join(fleet.state, "crash-child.log");
  const isOver = () => running === undefined || running.exitCode !== null || running.signalCode !== null;
  const self: CrashFleet = {
    fleet,
    async start({ crashAt, abortAt, spared }) {
      const log = openSync(logFile, "a");
      running = spawn(process.execPath, [child], {
        env: {
          PATH: process.env["PATH"],
          STAMPYARD_STATE: fleet.state,
          STAMPYARD_LISTEN: listen,
          ...(crashAt === undefined ? {} : { CRASH_AT: crashAt }),
          ...(abortAt === undefined ? {} : { ABORT_AT: abortAt }),
          ...(spared === undefined ? {} : { SPARED: spared }),
        },
        stdio: ["ignore", log, log],
      });
      await until(
        "a leader",
        async () => {
          if (isOver()) throw new Error(`The control plane ended before it led: ${self.log()}`);
          const answer = await fetch(`${url}/readyz`).then(
            (response) => response.json(),
            () => undefined,
          );
          return (answer as { role?: string } | undefined)?.role === "leader" ? true : undefined;
        },
        30_000,
      );
    },
    async dead(withinMs = 30_000) {
      await until("the control plane to die", () => (isOver() ? true : undefined), withinMs);
    },
    async kill() {
      running?.kill("SIGKILL");
      await until("the control plane to end", () => (isOver() ? true : undefined));
    },
    log: () =>
      readFileSync(logFile, "utf8")
        .split("\n")
        .filter((line) => !line.includes('"msg":"request"'))
        .slice(-12)
        .join("\n"),
    async [Symbol.asyncDispose]() {
      await self.kill();
      await fleet[Symbol.asyncDispose]();
    },
  };
  return self;
}
