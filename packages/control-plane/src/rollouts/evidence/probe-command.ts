import { spawn } from "node:child_process";
import { type GateProbe, quote, type SignalResult } from "@stampyard/domain";
import type { EvidenceDeps } from "./run-evidence.ts";

type CommandProbe = Extract<GateProbe, { kind: "command" }>;

/** EX_TEMPFAIL of sysexits.h: it cannot say. */
const cannotSay = 75;
const mostOutput = 4_096;

/** Runs a command without a shell and without our environment, which holds secrets. Its whole group ends with its time. */
export async function probeByCommand(
  { store }: Pick<EvidenceDeps, "store">,
  { name, command, timeoutMs }: CommandProbe,
  { stamp, release }: { readonly stamp: string; readonly release: string },
): Promise<SignalResult> {
  const [endpoint] = (await store.stamps.read(stamp))?.value.endpoints ?? [];
  const url = endpoint === undefined ? "" : `http://${hostText(endpoint.host)}:${endpoint.port}`;
  const { code, said, isLate } = await run(command, { STAMP: stamp, RELEASE: release, ENDPOINT: url }, timeoutMs);
  const line = said.trim().split("\n").at(-1) ?? "";
  const words = line === "" ? "" : `: ${quote(line.slice(0, 200))}`;
  if (isLate) return { name, ok: undefined, text: `did not end in ${timeoutMs} ms${words}` };
  if (code === undefined) return { name, ok: undefined, text: `could not be started: ${said}` };
  if (code === 0) return { name, ok: true, text: `ended with 0${words}` };
  return { name, ok: code === cannotSay ? undefined : false, text: `ended with ${code}${words}` };
}

interface Ended {
  /** undefined = it never began. */
  readonly code: number | string | undefined;
  readonly said: string;
  readonly isLate: boolean;
}

function run(
  [program = "", ...args]: readonly string[],
  given: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<Ended> {
  return new Promise((resolve) => {
    const { PATH = "/usr/local/bin:/usr/bin:/bin", LANG = "C.UTF-8" } = process.env;
    const child = spawn(program, args, {
      cwd: "/",
      env: { PATH, LANG, ...given },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let said = "";
    let isLate = false;
    const hear = (part: string) => {
      said = (said + part).slice(-mostOutput);
    };
    child.stdout.setEncoding("utf8").on("data", hear);
    child.stderr.setEncoding("utf8").on("data", hear);
    const timer = setTimeout(() => {
      isLate = true;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }, timeoutMs);
    child.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve({ code: undefined, said: error.code ?? "unknown", isLate: false });
    });
    // Not `close`: what it left behind may hold its pipes open.
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      setImmediate(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ code: code ?? signal ?? "nothing", said, isLate });
      });
    });
  });
}

function hostText(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
