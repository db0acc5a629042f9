import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { asDiskError, freshDraft } from "../file.ts";
import { takeLock } from "../lock.ts";
import { isRoot } from "../places.ts";
import { type CommandResult, runCommand } from "../process/command.ts";
import { findProgram } from "./find-program.ts";

export interface DebianWish {
  readonly name: string;
  readonly packages: readonly string[];
  /** Path of the server inside the unpacked packages. */
  readonly program: string;
  /** The package that `apt-get install` brings. */
  readonly install: string;
  readonly linkAs?: string | undefined;
  readonly cacheDir: string;
  readonly lookOnly?: boolean;
  readonly progress?: (detail: string) => void;
  readonly signal?: AbortSignal;
}

export type DebianResult =
  | { readonly kind: "found"; readonly path: string; readonly libraries: string }
  | { readonly kind: "none"; readonly why: string };

/** Unpacks Debian packages into our cache without installing anything: no root, no system daemon, no dpkg state. */
export async function fetchFromDebian(wish: DebianWish): Promise<DebianResult> {
  const home = join(wish.cacheDir, `${wish.name}-debian`);
  const done = unpacked(home, wish);
  if (done !== undefined) return done;
  if (wish.lookOnly === true) return { kind: "none", why: "it is not here yet; it is fetched when a stamp needs it" };
  const [apt] = findProgram(["apt-get"]);
  const [dpkg] = findProgram(["dpkg"]);
  if (apt === undefined || dpkg === undefined) return { kind: "none", why: "this machine has no apt-get and dpkg" };

  using _lock = await takeLock(`${home}.lock`, wish.signal);
  const meanwhile = unpacked(home, wish);
  if (meanwhile !== undefined) return meanwhile;
  const draft = freshDraft(home);
  try {
    mkdirSync(join(draft, "deb"), { recursive: true, mode: 0o755 });
    wish.progress?.(`fetching Debian packages ${wish.packages.join(", ")}`);
    const why = await download(apt, join(draft, "deb"), wish);
    if (why !== undefined) return { kind: "none", why };
    for (const file of readdirSync(join(draft, "deb"))) {
      const { code, stderr } = await run(dpkg, ["-x", join(draft, "deb", file), draft], wish);
      if (code !== 0) throw asDiskError(new Error(stderr), wish.cacheDir);
    }
    rmSync(join(draft, "deb"), { recursive: true });
    if (wish.linkAs !== undefined) symlinkSync(baseName(wish.program), join(draft, linkPath(wish)));
    rmSync(home, { recursive: true, force: true });
    renameSync(draft, home);
  } catch (error) {
    throw asDiskError(error, wish.cacheDir);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return unpacked(home, wish) ?? { kind: "none", why: `the Debian packages hold no ${wish.program}` };
}

/** `apt-get install`, for those who asked for it. Returns the server's path. */
export async function installFromDebian(wish: DebianWish): Promise<string | undefined> {
  const [apt] = findProgram(["apt-get"]);
  if (apt === undefined) return undefined;
  const [sudo] = findProgram(["sudo"]);
  if (!isRoot && sudo === undefined) return undefined;
  wish.progress?.(`installing the Debian package ${wish.install}`);
  // Redis and NATS are asked for at the same time, and only one may install: the other waits.
  const wait = ["-o", "DPkg::Lock::Timeout=120"];
  const words = [apt, ...wait, "install", "-y", "--no-install-recommends", wish.install];
  const [program = apt, ...args] = isRoot || sudo === undefined ? words : [sudo, "-n", ...words];
  const { code } = await run(program, args, wish);
  if (code !== 0) return undefined;
  return findInstalled(wish);
}

/** The server of an installed package. Debian's redis-tools holds it under another name, so it gets a link. */
export function findInstalled(wish: Pick<DebianWish, "program" | "linkAs" | "cacheDir">): string | undefined {
  if (wish.linkAs === undefined) return findProgram([baseName(wish.program)])[0];
  if (!existsSync(join("/", wish.program))) return undefined;
  const bin = join(wish.cacheDir, "bin");
  mkdirSync(bin, { recursive: true, mode: 0o755 });
  const link = join(bin, wish.linkAs);
  try {
    symlinkSync(join("/", wish.program), link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw asDiskError(error, bin);
  }
  return link;
}

/** @returns why it did not work, or undefined */
async function download(apt: string, dir: string, wish: DebianWish): Promise<string | undefined> {
  const get = () => run(apt, ["download", ...wish.packages], wish, dir);
  let got = await get();
  if (got.code === 0) return undefined;
  if (/No space left/i.test(got.stderr)) throw asDiskError(new Error(got.stderr), wish.cacheDir);
  if (isRoot) {
    wish.progress?.("reading Debian's package lists");
    await run(apt, ["update"], wish);
    got = await get();
    if (got.code === 0) return undefined;
  }
  const lists = isRoot ? "" : " (its package lists may be missing: sudo apt-get update)";
  return `apt-get download failed${lists}: ${firstError(got.stderr)}`;
}

function firstError(stderr: string): string {
  const line = stderr.split("\n").find((text) => text.startsWith("E:")) ?? stderr.trim().split("\n").at(-1) ?? "";
  return line.slice(0, 200);
}

function run(program: string, args: readonly string[], wish: DebianWish, cwd?: string): Promise<CommandResult> {
  return runCommand(program, args, {
    // Proxies and apt's own settings may be in our environment.
    env: { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    timeoutMs: 300_000,
    ...(cwd === undefined ? {} : { cwd }),
    ...(wish.signal === undefined ? {} : { signal: wish.signal }),
  });
}

function unpacked(home: string, wish: DebianWish): DebianResult | undefined {
  const path = join(home, wish.linkAs === undefined ? wish.program : linkPath(wish));
  return existsSync(path) ? { kind: "found", path, libraries: librariesIn(home) } : undefined;
}

/** Debian keeps libraries in a directory named after the machine, e.g. usr/lib/x86_64-linux-gnu. */
function librariesIn(home: string): string {
  const lib = join(home, "usr/lib");
  const arch = existsSync(lib) ? readdirSync(lib).find((name) => name.includes("-linux-gnu")) : undefined;
  return arch === undefined ? lib : join(lib, arch);
}

function linkPath(wish: DebianWish): string {
  return join(wish.program, "..", wish.linkAs ?? "");
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
