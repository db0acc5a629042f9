import { createHash } from "node:crypto";
import { chmodSync, existsSync, lstatSync, mkdirSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { requireName, StampyardError } from "@stampyard/domain";

/** True where each stamp can have a user of its own. */
export const isRoot = process.geteuid?.() === 0;

/** Where the things of one stamp are. */
export interface StampPlace {
  readonly stateDir: string;
  readonly stamp: string;
  /** Ours alone: specification with secrets, state, logs. */
  readonly dir: string;
  /** Data and configuration that the stamp's user owns. Below `dir` unless that user cannot reach it. */
  readonly dataDir: string;
  /** Holds the control socket (ours) and `s/`, the sockets of the components. Short: a socket path has 104 bytes at most. */
  readonly runDir: string;
  readonly socketDir: string;
  readonly controlSocket: string;
  /** With the sockets, so that a full disk cannot keep a stamp from being destroyed. */
  readonly hostLock: string;
  readonly specFile: string;
  /** The specification that it was whole with last. */
  readonly goodFile: string;
  readonly stateFile: string;
  readonly logDir: string;
  /** Marks the stamp's processes. */
  readonly marker: string;
}

export function placeOf(stateDir: string, stamp: string): StampPlace {
  requireName("stamp", stamp);
  const root = resolve(stateDir);
  const dir = join(root, "stamps", stamp);
  const id = createHash("sha256").update(dir).digest("hex").slice(0, 16);
  const dataDir = dataDirOf(root, join(dir, "data"), join("/var/lib/stampyard/stamps", id));
  const runDir = join(runRoot(), id);
  return {
    stateDir: root,
    stamp,
    dir,
    dataDir,
    runDir,
    socketDir: join(runDir, "s"),
    controlSocket: join(runDir, "host.sock"),
    hostLock: `${runDir}.lock`,
    specFile: join(dir, "spec.json"),
    goodFile: join(dir, "good.json"),
    stateFile: join(dir, "state.json"),
    logDir: join(dir, "logs"),
    marker: id,
  };
}

/**
 * Data lives beside the rest where the stamp's user can come to it. Once made it stays where it is: a state directory
 * that is opened or closed later must not look like an empty one.
 */
function dataDirOf(root: string, inside: string, outside: string): string {
  if (existsSync(inside) || !isRoot) return inside;
  return existsSync(outside) || !isReachable(root) ? outside : inside;
}

/**
 * Where the files of releases are kept: `releases` of the state directory, or outside of it by the rule of `dataDirOf`,
 * because stamps' own users read them.
 */
export function contentRootOf(stateDir: string): string {
  const root = resolve(stateDir);
  const id = createHash("sha256").update(root).digest("hex").slice(0, 16);
  return dataDirOf(root, join(root, "releases"), join("/var/lib/stampyard/releases", id));
}

/** Sockets are in a short path of their own, since a state directory may be deep. */
function runRoot(): string {
  if (isRoot) return "/run/stampyard";
  const own = process.env["XDG_RUNTIME_DIR"];
  if (own !== undefined && own !== "" && own.length < 40 && existsSync(own)) return join(own, "stampyard");
  const short = process.platform === "darwin" ? "/tmp" : tmpdir().length < 30 ? tmpdir() : "/tmp";
  return join(short, `stampyard-${process.getuid?.() ?? 0}`);
}

/** Makes the directories that only we may write; refuses one that somebody else prepared for us. */
export function makePlace(place: StampPlace): void {
  mkdirSync(place.stateDir, { recursive: true, mode: 0o711 });
  makeOwn(join(place.stateDir, "stamps"), 0o711);
  makeOwn(place.dir, 0o711);
  makeOwn(place.logDir, 0o700);
  if (!place.dataDir.startsWith(place.dir)) mkdirSync(dirname(place.dataDir), { recursive: true, mode: 0o711 });
  makeOwn(place.dataDir, 0o711);
  makeOwn(dirname(place.runDir), isRoot ? 0o711 : 0o700);
  makeOwn(place.runDir, isRoot ? 0o711 : 0o700);
}

function makeOwn(path: string, mode: number): void {
  mkdirSync(path, { recursive: true, mode });
  const seen = lstatSync(path);
  if (!seen.isDirectory() || (process.geteuid !== undefined && seen.uid !== process.geteuid())) {
    throw new StampyardError("FORBIDDEN", `Directory ${path} belongs to somebody else`, {
      mend: `Remove ${path}, or choose another state directory.`,
    });
  }
  if ((seen.mode & 0o777) !== mode) chmodSync(path, mode);
}

/** Whether a user without any right of its own can come to this path (the nearest existing part of it). */
export function isReachable(path: string): boolean {
  let at = resolve(path);
  while (!existsSync(at)) at = dirname(at);
  for (;;) {
    const seen = statSync(at);
    if ((seen.mode & 0o001) === 0 && seen.isDirectory()) return false;
    if (!seen.isDirectory() && (seen.mode & 0o004) === 0) return false;
    const parent = dirname(at);
    if (parent === at) return true;
    at = parent;
  }
}

/** Where fetched binaries and the database template are kept; the same for every state directory of this user. */
export function defaultCacheDir(): string {
  const chosen = process.env["STAMPYARD_CACHE"];
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  return isRoot ? "/var/cache/stampyard" : join(homedir(), ".cache", "stampyard");
}

/** Where uids and ports in use on this machine are recorded. */
export function defaultLedgerFile(): string {
  const dir = isRoot ? "/var/lib/stampyard" : join(homedir(), ".local", "state", "stampyard");
  return join(dir, "ledger.json");
}
