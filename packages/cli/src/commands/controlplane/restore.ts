import { createReadStream, existsSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Restored } from "@stampyard/control-plane";
import { command, confirmName, numberIn, yesOption } from "../../define.ts";
import { connect } from "../../connection.ts";
import { CommandFailure } from "../../failure.ts";
import type { Io } from "../../io.ts";
import { takeLock } from "../../process/lock.ts";
import { stopProcess } from "../../process/stop.ts";
import { saveBackup } from "./backup.ts";
import { findStateDir, makeStateDir, readRecorded, type StateDir } from "../../state-dir.ts";

interface Options {
  readonly replace?: boolean;
  readonly timeout: number;
}

export const controlplaneRestore = command<Options>({
  usage: "restore <file>",
  summary: "Bring the control plane's store back from a file",
  about:
    "The control plane then learns from stamps and routers what happened since the backup, and changes nothing before that. It needs the secrets/master.key of the time.",
  completes: ["file"],
  options: (c) =>
    yesOption(c)
      .option("--replace", "replace a store that is not empty; a backup of it is made first if it still runs")
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
    // Only now: it brings a PostgreSQL client and more.
    const { readSeenHead, restoreStore } = await import("@stampyard/control-plane");
    const incarnationAtLeast = (readSeenHead(join(state.root, "head.json"))?.incarnation ?? 0) + 1;
    const load = (url: string) =>
      restoreStore({ url, source: createReadStream(file), actor: "cli", incarnationAtLeast });
    const databaseUrl = run.io.env["DATABASE_URL"];
    const isEmbedded = databaseUrl === undefined || databaseUrl === "";
    if (isEmbedded) await rehearse(run.io, state, load);
    const kept = run.options.replace === true ? await keepPresent(run.io, state) : undefined;
    if (kept !== undefined) run.say(`The present store is saved as ${kept}`);
    await stopControlPlane(run.io, state);
    const restored = isEmbedded
      ? await intoEmbeddedStore(state, run.options.replace === true, load)
      : await load(databaseUrl);
    run.emit({ file, ...restored }, () => {
      const taken = new Date(restored.takenAt).toISOString();
      return `Restored ${restored.rows} rows as of ${taken}, incarnation ${restored.incarnation}\n`;
    });
    run.say("Next: stampyard up, then stampyard status until the recovery is over");
  },
});

type Load = (url: string) => Promise<Restored>;

/** Loads the file into a store of its own first: a file that is no good must be known before anything is removed. */
async function rehearse(io: Io, state: StateDir, load: Load): Promise<void> {
  if (!existsSync(join(state.root, "secrets", "master.key")) && io.env["STAMPYARD_MASTER_KEY"] === undefined) {
    throw new CommandFailure("INVALID_REQUEST", `There is no master key in ${join(state.root, "secrets")}`, {
      mend: "Put the master.key of the backed-up control plane there first: the backup's secrets are sealed with it.",
    });
  }
  const { destroyStore, ensureStore } = await import("@stampyard/engines");
  const stateDir = join(state.root, "restore-check");
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  try {
    await load((await ensureStore({ stateDir })).url);
  } finally {
    await destroyStore({ stateDir });
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** A backup of what is about to be replaced, as far as a running control plane can still make one. */
async function keepPresent(io: Io, state: StateDir): Promise<string | undefined> {
  const recorded = readRecorded(state.controlPlaneFile);
  if (recorded?.alive !== true || recorded.url === undefined) return undefined;
  const client = await connect(io, { state: state.root, server: recorded.url, file: "" });
  const file = join(state.root, `before-restore-${new Date().toISOString().replaceAll(/[:.]/g, "-")}.backup`);
  await saveBackup(client, file, io.signal);
  return file;
}

async function stopControlPlane(io: Io, state: StateDir): Promise<void> {
  const recorded = readRecorded(state.controlPlaneFile);
  if (recorded !== undefined) await stopProcess(recorded.identity, 10_000, io.signal);
}

async function intoEmbeddedStore(state: StateDir, replace: boolean, load: Load): Promise<Restored> {
  const { destroyStore, ensureStore } = await import("@stampyard/engines");
  if (replace) await destroyStore({ stateDir: state.root });
  return await load((await ensureStore({ stateDir: state.root })).url);
}
