import { type ChildProcess, spawn } from "node:child_process";
import { connect, type Socket } from "node:net";

/** A port that the system listens on and nobody accepts from: its queue is full, so every further SYN is dropped. */
export interface SilentListener {
  /** Why this system answers all the same; undefined = it is silent. */
  readonly trouble: string | undefined;
  stop(): Promise<void>;
}

/** The least of a kernel is a queue of two; some take a few more before they drop. */
const mostFillers = 64;
const silenceMs = 200;
const listener = `require("node:net").createServer().listen({ host: "127.0.0.1", port: Number(process.argv[1]), backlog: 1 },
  () => console.log("listening"))`;

/**
 * Node accepts whatever it listens for, so another process listens and is stopped (SIGSTOP); its queue is filled from here.
 * @param port free now
 */
export async function startSilentListener(port: number): Promise<SilentListener> {
  const child = spawn(process.execPath, ["-e", listener, String(port)], { stdio: ["ignore", "pipe", "ignore"] });
  const fillers: Socket[] = [];
  const stop = () => end(child, fillers);
  const listens = await new Promise<boolean>((resolve) => {
    child.stdout.once("data", () => resolve(true));
    child.once("exit", () => resolve(false));
    child.once("error", () => resolve(false));
  });
  if (!listens) return { trouble: `another process cannot listen on port ${port}`, stop };
  child.kill("SIGSTOP");
  while (fillers.length < mostFillers) {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => {});
    fillers.push(socket);
    if (!(await isTaken(socket))) return { trouble: undefined, stop };
  }
  return { trouble: `this system took ${mostFillers} connections into a queue of one`, stop };
}

function isTaken(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), silenceMs);
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

async function end(child: ChildProcess, fillers: readonly Socket[]): Promise<void> {
  for (const socket of fillers) socket.destroy();
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  // The one signal that reaches a stopped process.
  child.kill("SIGKILL");
  await ended;
}
