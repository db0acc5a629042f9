import { existsSync, readdirSync, rmSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { join } from "node:path";
import { processesWith } from "../process/find.ts";
import { stopProcess } from "../process/stop.ts";
import { readRecorded, readWorkers, type StateDir } from "../state-dir.ts";
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
    if (name === "router" && (await stopOrphans(state, signal))) {
      say("router: workers that had lost their parent are stopped");
      if (!stopped.includes(name)) stopped.push(name);
    }
  }
  // Only now: the engine brings a PostgreSQL client and more.
  const { contentRootOf, destroyStore, openLocalEngine, stopStore } = await import("@stampyard/engines");
  const engine = await openLocalEngine({ stateDir: state.root });
  const stamps = await engine.stamps();
  const token = engine.lastToken();
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
    rmSync(contentRootOf(state.root), { recursive: true, force: true });
    await removeState(state);
  }
  return { stopped, stamps };
}

/** A router that was killed leaves processes that serve; true if there were any. */
async function stopOrphans(state: StateDir, signal: AbortSignal): Promise<boolean> {
  const recorded = readWorkers(state.routerWorkersFile).alive;
  const marked = processesWith(`${entryOf("@stampyard/router/worker-main")} ${markOf(state)} `);
  const all = [...recorded, ...marked.filter(({ pid }) => !recorded.some((one) => one.pid === pid))];
  const outcomes = await Promise.all(all.map((identity) => stopProcess(identity, graceMs, signal)));
  return outcomes.some((outcome) => outcome !== "absent");
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
    "releases",
    "restore-check",
    "control-plane.json",
    "head.json",
    "addresses.json",
    "up.lock",
  ];
  const backups = readdirSync(state.root).filter((name) => name.startsWith("before-restore-"));
  for (const name of [...ours, ...backups]) rmSync(join(state.root, name), { recursive: true, force: true });
  await rmdir(state.root).catch(() => undefined);
}
