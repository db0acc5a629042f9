import { createReadStream, existsSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { hostname } from "node:os";
import type { loadMasterKeys, Restored } from "@stampyard/control-plane";
import { command, confirmName, numberIn, type Run, yesOption } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import type { Io } from "../../io.ts";
import { takeLock } from "../../process/lock.ts";
import { stopProcess } from "../../process/stop.ts";
import { writeBackup } from "./backup.ts";
import { findStateDir, makeStateDir, readRecorded, type StateDir } from "../../state-dir.ts";

type MasterKeys = ReturnType<typeof loadMasterKeys>;

interface Options {
  readonly replace?: boolean;
  readonly timeout: number;
}

export const controlplaneRestore = command<Options>({
  usage: "restore <file>",
  summary: "Bring the control plane's store back from a file",
  about:
    "The control plane then learns from stamps and routers what happened since the backup, and changes nothing before that. It needs the secrets/master.key of the time. A restore that is refused stops and changes nothing.",
  completes: ["file"],
  options: (c) =>
    yesOption(c)
      .option("--replace", "replace an embedded store that is not empty; a backup of it is made first")
      .option("--timeout <seconds>", "how long to wait for another up or down", numberIn("timeout", 1, 86_400), 60),
  examples: [
    ["controlplane restore notes.backup --replace", "then `stampyard up`, and `stampyard status` shows the recovery"],
    ["controlplane restore notes.backup", "into the empty database that DATABASE_URL names"],
  ],
  run: async (run) => {
    const file = resolve(run.io.cwd, run.args[0] ?? "");
    if (!existsSync(file)) throw new CommandFailure("NOT_FOUND", `There is no backup at ${file}`);
    const state = findStateDir(run.io, run.options);
    await confirmName(
      run,
      `replace the control plane's store of ${state.root}`,
      state.root.split("/").at(-1) ?? state.root,
    );
    makeStateDir(state);
    await using _lock = await takeLock(state.lock, {
      doing: "stampyard controlplane restore",
      timeoutMs: run.options.timeout * 1000,
      signal: run.io.signal,
      onWait: (holder) => run.say(`Waiting for \`${holder.doing}\`, process ${holder.pid}, since ${holder.since}`),
    });
    const restored = await restoreInto(run, state, file);
    run.emit({ file, ...restored }, () => {
      const taken = new Date(restored.takenAt).toISOString();
      return `Restored ${restored.rows} rows as of ${taken}, incarnation ${restored.incarnation}\n`;
    });
    run.say("Next: stampyard up, then stampyard status until the recovery is over");
  },
});

/**
 * Everything that can refuse comes first, while the running control plane goes on: key, file, present store, and its
 * backup. Only then is anything stopped or replaced.
 */
async function restoreInto(run: Run<Options>, state: StateDir, file: string): Promise<Restored> {
  // Only now: it brings a PostgreSQL client and more.
  const { loadMasterKeys, readSeenHead, restoreStore } = await import("@stampyard/control-plane");
  const { env, signal } = run.io;
  const keys = loadMasterKeys(
    { file: join(state.root, "secrets", "master.key"), env: env["STAMPYARD_MASTER_KEY"] },
    { create: false },
  );
  const replace = run.options.replace === true;
  const incarnationAtLeast = (readSeenHead(join(state.root, "head.json"))?.incarnation ?? 0) + 1;
  const load: Load = (url, more) =>
    restoreStore({ url, source: createReadStream(file), actor: "cli", keys, incarnationAtLeast, ...more });
  const databaseUrl = env["DATABASE_URL"] ?? "";
  if (databaseUrl !== "") {
    await requireFreeDatabase(databaseUrl, replace, state);
    await load(databaseUrl, { rehearse: true, evenIfLed: true });
    await stopControlPlane(run.io, state);
    return await load(databaseUrl, {});
  }
  await rehearse(state, load);
  const kept = await checkPresent(run, state, keys);
  await stopControlPlane(run.io, state);
  const { destroyStore, ensureStore } = await import("@stampyard/engines");
  if (replace) await destroyStore({ stateDir: state.root, signal, stampsStay: true });
  try {
    return await load((await ensureStore({ stateDir: state.root, signal })).url, { evenIfLed: true });
  } catch (error) {
    if (kept !== undefined) run.say(`The store that was replaced is in ${kept}; restore that file to go back`);
    throw error;
  }
}

type Load = (url: string, more: { readonly rehearse?: boolean; readonly evenIfLed?: boolean }) => Promise<Restored>;

/** Loads the file into a store of its own first: a file that is no good must be known before anything is removed. */
async function rehearse(state: StateDir, load: Load): Promise<void> {
  const { destroyStore, ensureStore } = await import("@stampyard/engines");
  const stateDir = join(state.root, "restore-check");
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  try {
    await load((await ensureStore({ stateDir })).url, {});
  } finally {
    await destroyStore({ stateDir });
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** @throws CommandFailure WRONG_PHASE for a database that is not empty, or that a control plane of elsewhere leads */
async function requireFreeDatabase(url: string, replace: boolean, state: StateDir): Promise<void> {
  const { readStoreUse } = await import("@stampyard/control-plane");
  const { used, ledBy } = await readStoreUse(url);
  const [host, , pid] = ledBy?.split("/") ?? [];
  const ours = readRecorded(state.controlPlaneFile);
  if (ledBy !== undefined && !(ours?.alive === true && host === hostname() && pid === String(ours.identity.pid))) {
    throw new CommandFailure(
      "WRONG_PHASE",
      `A control plane leads the database of DATABASE_URL: process ${pid} on ${host}`,
      {
        mend: "Stop it first, or restore into another database. Nothing was changed.",
      },
    );
  }
  if (!used) return;
  throw new CommandFailure(
    "WRONG_PHASE",
    "The database of DATABASE_URL is not empty, and a restore never overwrites it",
    {
      mend: `Make an empty database and name that one${replace ? " (--replace is for the embedded store)" : ""}. Nothing was changed.`,
    },
  );
}

/**
 * Looks at the embedded store that is there, whether its control plane runs or not, and saves it before it is replaced.
 * @returns the file it was saved in
 * @throws CommandFailure WRONG_PHASE when it is not empty and nobody said --replace
 */
async function checkPresent(run: Run<Options>, state: StateDir, keys: MasterKeys): Promise<string | undefined> {
  if (!existsSync(join(state.root, "store"))) return undefined;
  const { backupStore, readStoreUse } = await import("@stampyard/control-plane");
  const { signal } = run.io;
  try {
    const url = await presentStoreUrl(state, signal);
    if (!(await readStoreUse(url)).used) return undefined;
    if (run.options.replace !== true) {
      throw new CommandFailure("WRONG_PHASE", `The store in ${state.root} is not empty`, {
        mend: "Add --replace: a backup of it is made first. Nothing was changed.",
      });
    }
    const file = join(state.root, `before-restore-${new Date().toISOString().replaceAll(/[:.]/g, "-")}.backup`);
    await writeBackup(backupStore({ url, keys }), file, signal);
    run.say(`The present store is saved as ${file}`);
    return file;
  } catch (error) {
    // It was perhaps started for the look; a running control plane needs it.
    if (readRecorded(state.controlPlaneFile)?.alive !== true) {
      const { stopStore } = await import("@stampyard/engines");
      await stopStore({ stateDir: state.root, signal }).catch(() => undefined);
    }
    throw error;
  }
}

async function presentStoreUrl(state: StateDir, signal: AbortSignal): Promise<string> {
  const { ensureStore } = await import("@stampyard/engines");
  try {
    return (await ensureStore({ stateDir: state.root, signal })).url;
  } catch (cause) {
    signal.throwIfAborted();
    throw new CommandFailure("WRONG_PHASE", `The present store does not start, so no backup of it can be made`, {
      cause,
      mend: `If it is lost, move ${join(state.root, "store")} away, then restore again. Nothing was changed.`,
    });
  }
}

async function stopControlPlane(io: Io, state: StateDir): Promise<void> {
  const recorded = readRecorded(state.controlPlaneFile);
  if (recorded !== undefined) await stopProcess(recorded.identity, 10_000, io.signal);
}
