import { createReadStream, existsSync, renameSync } from "node:fs";
import { join, resolve } from "node:path";
import { command, confirmName, numberIn, yesOption } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { takeLock } from "../../process/lock.ts";
import { stopProcess } from "../../process/stop.ts";
import { findStateDir, readRecorded, type StateDir } from "../../state-dir.ts";

interface Options {
  readonly replace?: boolean;
  readonly timeout: number;
}

/** What the control plane's package gives us for an offline restore. */
type RestoreStore = (options: {
  readonly url: string;
  readonly source: AsyncIterable<Uint8Array>;
  readonly actor: string;
}) => Promise<{
  readonly incarnation: number;
  readonly version: number;
  readonly takenAt: number;
  readonly rows: number;
}>;

export const controlplaneRestore = command<Options>({
  usage: "restore <file>",
  summary: "Bring the control plane's store back from a file",
  about:
    "The control plane then learns from stamps and routers what happened since the backup, and changes nothing before that. It needs the secrets/master.key of the time.",
  completes: ["file"],
  options: (c) =>
    yesOption(c)
      .option("--replace", "put the present store aside first (embedded store only); nothing of it is deleted")
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
    await using _lock = await takeLock(state.lock, {
      doing: "stampyard controlplane restore",
      timeoutMs: run.options.timeout * 1000,
      signal: run.io.signal,
      onWait: (holder) => run.say(`Waiting for \`${holder.doing}\`, process ${holder.pid}, since ${holder.since}`),
    });
    const recorded = readRecorded(state.controlPlaneFile);
    if (recorded !== undefined) await stopProcess(recorded.identity, 10_000, run.io.signal);
    const databaseUrl = run.io.env["DATABASE_URL"];
    const url =
      databaseUrl === undefined || databaseUrl === ""
        ? await embeddedStore(state, run.options.replace === true)
        : databaseUrl;
    const restoreStore = await loadRestore();
    const restored = await restoreStore({ url, source: createReadStream(file), actor: "cli" });
    run.emit({ file, ...restored }, () => {
      const taken = new Date(restored.takenAt).toISOString();
      return `Restored ${restored.rows} rows as of ${taken}, incarnation ${restored.incarnation}\n`;
    });
    run.say("Next: stampyard up, then stampyard status until the recovery is over");
  },
});

async function embeddedStore(state: StateDir, replace: boolean): Promise<string> {
  const { ensureStore, stopStore } = await import("@stampyard/engines");
  if (replace) {
    await stopStore({ stateDir: state.root });
    const folder = join(state.root, "store");
    if (existsSync(folder))
      renameSync(folder, `${folder}.replaced-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`);
  }
  if (!existsSync(join(state.root, "secrets", "master.key")) && process.env["STAMPYARD_MASTER_KEY"] === undefined) {
    throw new CommandFailure("INVALID_REQUEST", `There is no master key in ${join(state.root, "secrets")}`, {
      mend: "Put the master.key of the backed-up control plane there first: the backup's secrets are sealed with it.",
    });
  }
  return (await ensureStore({ stateDir: state.root })).url;
}

async function loadRestore(): Promise<RestoreStore> {
  const module = (await import("@stampyard/control-plane")) as { readonly restoreStore?: RestoreStore };
  if (module.restoreStore !== undefined) return module.restoreStore;
  throw new CommandFailure("INTERNAL", "This control plane cannot restore offline", {
    mend: "Use a control plane of the version of this command.",
  });
}
