import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { CommandFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { asIdentity, isAlive, type ProcessIdentity } from "@stampyard/engines/process";

/** Where everything of one fleet lives on this machine. */
export interface StateDir {
  readonly root: string;
  readonly controlPlaneFile: string;
  readonly routerFile: string;
  readonly routerWorkersFile: string;
  readonly adminToken: string;
  readonly routerToken: string;
  readonly controlPlaneLog: string;
  readonly routerLog: string;
  readonly lock: string;
}

export function stateDirAt(root: string): StateDir {
  return {
    root,
    controlPlaneFile: join(root, "control-plane.json"),
    routerFile: join(root, "router", "router.json"),
    routerWorkersFile: join(root, "router", "workers.json"),
    adminToken: join(root, "secrets", "admin.token"),
    routerToken: join(root, "secrets", "router.token"),
    controlPlaneLog: join(root, "logs", "control-plane.log"),
    routerLog: join(root, "logs", "router.log"),
    lock: join(root, "up.lock"),
  };
}

/** Made so that stamps, which run under users of their own, can pass through and see nothing. */
export function makeStateDir(state: StateDir): void {
  mkdirSync(state.root, { recursive: true, mode: 0o711 });
}

/** The state directory that `--state`, STAMPYARD_STATE or the fleet file names, in this order. */
export function findStateDir(io: Pick<Io, "env" | "cwd">, options: { state?: string; file: string }): StateDir {
  const named = options.state ?? nonEmpty(io.env["STAMPYARD_STATE"]);
  if (named !== undefined) return stateDirAt(resolve(io.cwd, named));
  return stateDirAt(defaultStateRoot(fleetNameIn(resolve(io.cwd, options.file)), io.env));
}

/** `/var/lib/stampyard/<fleet>` for root, `~/.local/share/stampyard/<fleet>` (XDG_DATA_HOME) for everybody else. */
export function defaultStateRoot(fleet: string, env: Io["env"]): string {
  if (process.getuid?.() === 0) return join("/var/lib/stampyard", fleet);
  return join(nonEmpty(env["XDG_DATA_HOME"]) ?? join(homedir(), ".local", "share"), "stampyard", fleet);
}

/**
 * The fleet's name, read without loading the parser: `metadata.name` decides only which directory is meant, and a
 * broken file must not keep anybody from `status` or `down`.
 *
 * @throws CommandFailure NOT_FOUND, INVALID_MANIFEST
 */
export function fleetNameIn(file: string): string {
  if (!existsSync(file)) {
    throw new CommandFailure("NOT_FOUND", `There is no fleet file at ${file}`, {
      mend: "Name it with -f, or name the state directory with --state, or the control plane with --server.",
    });
  }
  const text = readFileSync(file, "utf8").slice(0, 1024 * 1024);
  const name =
    /^metadata:[^\S\n]*(?:#.*)?\n(?:[^\S\n]+.*\n|[^\S\n]*(?:#.*)?\n)*?[^\S\n]+name:[^\S\n]*["']?([a-z][a-z0-9-]{0,39})["']?[^\S\n]*(?:#.*)?$/m.exec(
      text,
    )?.[1] ?? /^metadata:\s*\{[^}]*\bname:\s*["']?([a-z][a-z0-9-]{0,39})["']?/m.exec(text)?.[1];
  if (name !== undefined) return name;
  throw new CommandFailure("INVALID_MANIFEST", `${file} names no fleet under metadata.name`, {
    mend: `Check it with \`stampyard plan -f ${file}\`, or name the state directory with --state.`,
  });
}

/** A process that wrote down where it listens. */
export interface Recorded {
  readonly identity: ProcessIdentity;
  readonly alive: boolean;
  readonly url: string | undefined;
  readonly adminUrl: string | undefined;
}

/** Reads `control-plane.json` or `router.json`; undefined if it never ran here. */
export function readRecorded(file: string): Recorded | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const identity = asIdentity(value);
  if (identity === undefined) return undefined;
  return { identity, alive: isAlive(identity), url: textOf(value["url"]), adminUrl: textOf(value["adminUrl"]) };
}

/** The processes of a router that serve: they live on when their parent is killed, and keep its port. */
export interface RecordedWorkers {
  readonly alive: readonly ProcessIdentity[];
  readonly port: number | undefined;
}

export function readWorkers(file: string): RecordedWorkers {
  try {
    const value = JSON.parse(readFileSync(file, "utf8")) as { port?: unknown; workers?: unknown };
    const list: unknown[] = Array.isArray(value.workers) ? value.workers : [];
    const alive = list.flatMap((one) => asIdentity(one) ?? []).filter(isAlive);
    return { alive, port: typeof value.port === "number" && value.port > 0 ? value.port : undefined };
  } catch {
    return { alive: [], port: undefined };
  }
}

/** The folder that relative paths of a fleet file start from. */
export function folderOf(file: string): string {
  return dirname(file);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}
