import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface DebianProgram {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * The server of a Debian package: installed, or unpacked privately into a cache of ours. Nothing is installed, and no
 * system service is touched.
 */
export function debianProgram(name: string, packages: readonly string[]): DebianProgram {
  for (const folder of ["/usr/sbin", "/usr/local/sbin", "/usr/bin"]) {
    if (existsSync(join(folder, name))) return { path: join(folder, name), env: process.env };
  }
  const home = join(tmpdir(), `stampyard-ingress-${process.getuid?.() ?? 0}`, name);
  if (!existsSync(home)) unpack(home, packages);
  const libraries = readdirSync(join(home, "usr/lib")).map((folder) => join(home, "usr/lib", folder));
  return { path: join(home, "usr/sbin", name), env: { ...process.env, LD_LIBRARY_PATH: libraries.join(":") } };
}

function unpack(home: string, packages: readonly string[]): void {
  mkdirSync(join(home, ".."), { recursive: true });
  const draft = mkdtempSync(`${home}-`);
  try {
    const debs = join(draft, "deb");
    mkdirSync(debs);
    // A clean image has no package lists.
    if (process.getuid?.() === 0) execFileSync("apt-get", ["update", "-q"], { stdio: "ignore" });
    execFileSync("apt-get", ["download", "-q", "-o", "APT::Sandbox::User=root", ...packages], { cwd: debs });
    for (const file of readdirSync(debs)) execFileSync("dpkg", ["-x", join(debs, file), draft]);
    rmSync(debs, { recursive: true });
    renameSync(draft, home);
  } catch (caught) {
    rmSync(draft, { recursive: true, force: true });
    throw caught;
  }
}
