import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface DebianBinary {
  readonly path: string;
  /** Where its libraries are, if it was unpacked and not installed. */
  readonly env: Readonly<Record<string, string>>;
}

const programs = { nginx: "usr/sbin", haproxy: "usr/sbin", wrk: "usr/bin" } as const;
const cache = fileURLToPath(new URL("../node_modules/.cache/stampyard-debian-3", import.meta.url));
/** With what they load, for a machine that has little. */
const debs = [
  ...[
    "nginx",
    "haproxy",
    "wrk",
    "libluajit-5.1-2",
    "libluajit-5.1-common",
    "liblua5.3-0",
    "libopentracing-c-wrapper0",
    "libopentracing1",
    "libpcre2-8-0",
    "libpcre2-posix3",
  ],
  ...["libssl3", "zlib1g", "libcrypt1", "libsystemd0"],
];

/**
 * Debian's nginx, HAProxy or wrk: what is installed, or what apt can download, unpacked into a folder of ours. Nothing is
 * installed and no service is started. undefined where neither is possible.
 */
export function findDebianBinary(name: keyof typeof programs): DebianBinary | undefined {
  for (const folder of [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin"]) {
    if (folder !== "" && works({ path: join(folder, name), env: {} })) return { path: join(folder, name), env: {} };
  }
  if (!existsSync(cache) && !unpack()) return undefined;
  const libraries = join(cache, "usr/lib");
  const triplet = existsSync(libraries) ? readdirSync(libraries).filter((entry) => entry.includes("linux")) : [];
  const path = join(cache, programs[name], name);
  const own = { LD_LIBRARY_PATH: triplet.map((entry) => join(libraries, entry)).join(":") };
  // The machine's own libraries first: they fit each other.
  return [
    { path, env: {} },
    { path, env: own },
  ].find(works);
}

function works({ path, env }: DebianBinary): boolean {
  if (!existsSync(path)) return false;
  const { status } = spawnSync(path, ["-v"], { env: { ...process.env, ...env }, timeout: 10_000 });
  // wrk tells its version and ends with 1; 127 is a library that is missing.
  return status === 0 || (status === 1 && basename(path) === "wrk");
}

/** The same, where a test cannot do without. @throws Error that says what to install */
export function needDebianBinary(name: keyof typeof programs): DebianBinary {
  const found = findDebianBinary(name);
  if (found === undefined) throw new Error(`${name} is neither installed nor to be had by apt-get download`);
  return found;
}

function unpack(): boolean {
  const folder = `${cache}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true });
    const download = () => spawnSync("apt-get", ["download", ...debs], { cwd: folder, timeout: 60_000 }).status === 0;
    if (!download()) {
      // A fresh image has no package lists; only root may fetch them.
      spawnSync("apt-get", ["update"], { timeout: 120_000 });
      if (!download()) return false;
    }
    for (const file of readdirSync(folder).filter((entry) => entry.endsWith(".deb"))) {
      execFileSync("dpkg-deb", ["-x", join(folder, file), folder]);
    }
    renameSync(folder, cache);
    return true;
  } catch {
    return existsSync(cache);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
