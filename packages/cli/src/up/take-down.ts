import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processesWith } from "../process/find.ts";
import { stopProcess } from "../process/stop.ts";
import { readRecorded, type StateDir } from "../state-dir.ts";
import { entryOf, markOf } from "./services.ts";

export interface TakeDownOptions {
  readonly state: StateDir;
  /** Also data, secrets and the state directory. */
  readonly destroy: boolean;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

export interface TakenDown {
  readonly stopped: readonly string[];
  readonly stamps: readonly string[];
}

const graceMs = 10_000;

/**
 * Router first, so that nobody is sent to what is about to stop; then the control plane, so that it does not start again
 * what we stop; then the stamps, then the store. Everything it meets stopped already is fine.
 */
export async function takeDown(options: TakeDownOptions): Promise<TakenDown> {
  const { state, signal, say } = options;
  const stopped: string[] = [];
  for (const [name, file, entry] of [
    ["router", state.routerFile, "@stampyard/router/main"],
    ["control plane", state.controlPlaneFile, "@stampyard/control-plane/main"],
  ] as const) {
    const recorded = readRecorded(file)?.identity;
    // One that is just starting has no record yet.
    const unrecorded = processesWith(`${entryOf(entry)} ${markOf(state)} `).filter(({ pid }) => pid !== recorded?.pid);
    for (const identity of [...(recorded === undefined ? [] : [recorded]), ...unrecorded]) {
      const outcome = await stopProcess(identity, graceMs, signal);
      if (outcome === "absent") continue;
      stopped.push(name);
      say(`${name}: ${outcome}`);
    }
  }
  // Only now: the engine brings a PostgreSQL client and more.
  const { destroyStore, openLocalEngine, stopStore } = await import("@stampyard/engines");
  const engine = await openLocalEngine({ stateDir: state.root });
  const stamps = await engine.stamps();
  const token = lastToken(state, stamps);
  await Promise.all(
    stamps.map(async (stamp) => {
      const call = { token, signal };
      await (options.destroy ? engine.destroy(stamp, call) : engine.stop(stamp, call));
      say(`stamp ${stamp}: ${options.destroy ? "destroyed" : "stopped"}`);
    }),
  );
  const store = { stateDir: state.root, signal };
  if (existsSync(join(state.root, "store"))) {
    await (options.destroy ? destroyStore(store) : stopStore(store));
    say(`store: ${options.destroy ? "destroyed" : "stopped"}`);
  }
  if (options.destroy) {
    await removeState(state);
    await forgetTokens(signal);
  }
  return { stopped, stamps };
}

/**
 * The leader's token that the stamps saw last. With the control plane stopped nobody else leads, so we speak with its
 * token; a higher one would lock the next leader out.
 */
function lastToken(state: StateDir, stamps: readonly string[]): number {
  const tokens = stamps.map((stamp) => {
    try {
      const text = readFileSync(join(state.root, "stamps", stamp, "state.json"), "utf8");
      const { token } = JSON.parse(text) as { token?: unknown };
      return typeof token === "number" ? token : 0;
    } catch {
      return 0;
    }
  });
  return Math.max(0, ...tokens);
}

/** Only what is ours: the directory may hold something else by a mistake in --state. */
async function removeState(state: StateDir): Promise<void> {
  const ours = [
    "store",
    "secrets",
    "router",
    "stamps",
    "locks",
    "logs",
    "restore-check",
    "control-plane.json",
    "head.json",
    "addresses.json",
    "head.json",
    "up.lock",
  ];
  const backups = readdirSync(state.root).filter((name) => name.startsWith("before-restore-"));
  for (const name of [...ours, ...backups]) rmSync(join(state.root, name), { recursive: true, force: true });
  await rmdir(state.root).catch(() => undefined);
}

/**
 * The engine remembers per state directory the highest leader's token, and drops those whose directory is gone when it
 * next writes. A new fleet in the same directory starts with token 1, so that write must come before it; destroying a
 * stamp that never was, in a directory of its own, brings it about. Not pretty: the engine should offer it.
 */
async function forgetTokens(signal: AbortSignal): Promise<void> {
  const { openLocalEngine } = await import("@stampyard/engines");
  const scratch = await mkdtemp(join(tmpdir(), "stampyard-down-"));
  try {
    const engine = await openLocalEngine({ stateDir: scratch });
    await engine.destroy("none", { token: 0, signal });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
