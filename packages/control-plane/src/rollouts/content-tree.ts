import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, readFile, readlink, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { StampyardError } from "@stampyard/domain";
import { type IsLeftOut, leaveOutName, readLeftOut } from "./left-out.ts";

/** What of a folder belongs to a release, and what does not. Looks only; `content.ts` copies. */

/** One thing of the folder, by its path inside it, with `/` between its parts. */
export type ContentEntry =
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "file"; readonly path: string; readonly bytes: number; readonly isProgram: boolean }
  /** A link that stays inside, written relative to where it is. */
  | { readonly kind: "link"; readonly path: string; readonly to: string }
  /** Installed packages: linked, never copied. */
  | { readonly kind: "packages"; readonly path: string; readonly to: string };

export interface ContentTree {
  readonly folder: string;
  /** By path, in code-unit order. */
  readonly entries: readonly ContentEntry[];
  /** The nearest installed packages above the folder. */
  readonly above?: { readonly packages: string; readonly locks: readonly string[] };
}

/** More is no program any more, but data, or the wrong folder. */
export const contentBounds = { bytes: 512 * 1024 * 1024, files: 50_000 } as const;
export type ContentBounds = { readonly bytes: number; readonly files: number };

const packagesName = "node_modules";
const lockNames = ["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"];

/**
 * Looks through the folder that commands start from. Left out: what `.stampyardignore` names, version control, the state
 * directory, the manifests (they are the release's other part), links to nothing, sockets and devices.
 * @throws StampyardError INVALID_MANIFEST for no folder or a link that leads out, PAYLOAD_TOO_LARGE beyond the bounds
 */
export async function readContentTree(
  sourceDir: string,
  stateDir: string,
  bounds: ContentBounds = contentBounds,
): Promise<ContentTree> {
  const folder = await realpath(sourceDir).catch((cause) => {
    throw new StampyardError("INVALID_MANIFEST", `The folder ${sourceDir} is not there`, {
      cause,
      mend: "Commands of a template start in its folder, on the control plane's machine. Apply from where it is.",
    });
  });
  const state = await realpath(stateDir).catch(() => stateDir);
  const isLeftOut = readLeftOut(await readFile(join(folder, leaveOutName), "utf8").catch(() => ""));
  const walk: Walk = { folder, state, bounds, isLeftOut, entries: [], bytes: 0, files: 0, sizes: new Map() };
  await walkFolder(walk, "");
  const above = await packagesAbove(dirname(folder));
  const entries = walk.entries.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { folder, entries, ...(above === undefined ? {} : { above }) };
}

interface Walk {
  readonly folder: string;
  readonly state: string;
  readonly bounds: ContentBounds;
  readonly isLeftOut: IsLeftOut;
  readonly entries: ContentEntry[];
  bytes: number;
  files: number;
  /** Bytes by the first part of the path, to say which is too large. */
  readonly sizes: Map<string, number>;
}

async function walkFolder(walk: Walk, path: string): Promise<void> {
  const children = await readdir(join(walk.folder, path), { withFileTypes: true });
  for (const child of children) {
    const mine = path === "" ? child.name : `${path}/${child.name}`;
    const full = join(walk.folder, mine);
    if (child.name === ".git" || mine === leaveOutName || full === walk.state || walk.isLeftOut(mine)) continue;
    if (child.name === packagesName && (child.isDirectory() || child.isSymbolicLink())) {
      const to = await realpath(full).catch(() => undefined);
      if (to !== undefined) walk.entries.push({ kind: "packages", path: mine, to });
    } else if (child.isDirectory()) {
      walk.entries.push({ kind: "folder", path: mine });
      await walkFolder(walk, mine);
    } else if (child.isSymbolicLink()) {
      const link = await readLink(walk, mine);
      if (link !== undefined) walk.entries.push(link);
    } else if (child.isFile() && !(await isManifest(full))) {
      walk.entries.push(await measure(walk, mine));
    }
  }
}

async function measure(walk: Walk, path: string): Promise<ContentEntry> {
  const { size, mode } = await lstat(join(walk.folder, path));
  walk.files++;
  walk.bytes += size;
  const top = path.split("/")[0] ?? path;
  walk.sizes.set(top, (walk.sizes.get(top) ?? 0) + size);
  if (walk.bytes > walk.bounds.bytes || walk.files > walk.bounds.files) throw tooLarge(walk);
  return { kind: "file", path, bytes: size, isProgram: (mode & 0o111) !== 0 };
}

function tooLarge({ folder, bounds, sizes, files, bytes }: Walk): StampyardError {
  const [largest] = [...sizes].sort(([, a], [, b]) => b - a);
  const limit = `${Math.round(bounds.bytes / 1_048_576)} MiB and ${bounds.files} files`;
  const found = `${Math.round(bytes / 1_048_576)} MiB in ${files} files before the end of it`;
  const most = largest === undefined ? "" : `, most of it in ${largest[0]}`;
  return new StampyardError(
    "PAYLOAD_TOO_LARGE",
    `The folder ${folder} is too large for a release: ${found}${most}; ${limit} are the limit`,
    {
      mend: "Name data and build leftovers in .stampyardignore, or move stamp.yaml into a folder of its own.",
    },
  );
}

/** A link keeps its meaning only when what it names is copied too. @returns undefined for a link to nothing */
async function readLink(walk: Walk, path: string): Promise<ContentEntry | undefined> {
  const full = join(walk.folder, path);
  const real = await realpath(full).catch(() => undefined);
  if (real === undefined) return undefined;
  if (!isInside(walk.folder, real)) {
    throw new StampyardError("INVALID_MANIFEST", `The link ${path} leads out of ${walk.folder}, to ${real}`, {
      mend: "Put what it names into the template's folder: a release keeps only what is in there.",
    });
  }
  const target = await readlink(full);
  // An absolute link would lead back to the folder that it was copied from.
  const to = target.startsWith("/") ? relative(dirname(full), real) || "." : target;
  return { kind: "link", path, to };
}

export function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** A manifest of ours says how to run the files and is none of them: another limit of a pool is not another release. */
async function isManifest(path: string): Promise<boolean> {
  if (!/\.ya?ml$/.test(path)) return false;
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return /^apiVersion:\s*["']?stampyard\.dev\//m.test(await readHead(file));
  } finally {
    await file.close();
  }
}

async function readHead(file: FileHandle): Promise<string> {
  const bytes = Buffer.alloc(16_384);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  return bytes.toString("utf8", 0, bytesRead);
}

async function packagesAbove(from: string): Promise<ContentTree["above"]> {
  for (let at = from; ; at = dirname(at)) {
    const names = await readdir(at).catch(() => [] as string[]);
    const packages = basename(at) === packagesName ? undefined : join(at, packagesName);
    if (packages !== undefined && names.includes(packagesName)) {
      const locks = lockNames.filter((name) => names.includes(name)).map((name) => join(at, name));
      return { packages: await realpath(packages), locks };
    }
    if (dirname(at) === at) return undefined;
  }
}
