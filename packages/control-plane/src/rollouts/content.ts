import { createHash, randomBytes } from "node:crypto";
import { constants, existsSync } from "node:fs";
import { chmod, type FileHandle, mkdir, open, readdir, rename, rm, symlink, utimes } from "node:fs/promises";
import { basename, join, normalize } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Component,
  canonicalJson,
  type Digest,
  type Instant,
  type Json,
  StampyardError,
  type Template,
} from "@stampyard/domain";
import { contentRootOf, isReachable } from "@stampyard/engines";
import { pruneContents } from "./prune-contents.ts";
import { type ContentBounds, type ContentEntry, type ContentTree, readContentTree } from "./content-tree.ts";

/**
 * Files of releases: copied once, then never written again, so that a stamp can always go back to what it ran (I37),
 * whatever has become of the folder that it was applied from.
 */
export interface Contents {
  /**
   * Digest of the files that the template's commands start from now; undefined where it has none of ours.
   * @throws StampyardError INVALID_MANIFEST, PAYLOAD_TOO_LARGE
   */
  digest(template: Template, sourceDir: string): Promise<Digest | undefined>;
  /**
   * Copies them, unless they are kept already.
   * @throws StampyardError INVALID_MANIFEST, PAYLOAD_TOO_LARGE, DISK_FULL
   */
  keep(template: Template, sourceDir: string): Promise<Digest | undefined>;
  /** Folder that commands of a release with these files start from. */
  dirOf(content: Digest): string;
  /** Whether they are kept. If so they stay for another hour, so that something may be started that runs from them. */
  hold(content: Digest): Promise<boolean>;
  has(content: Digest): boolean;
  /**
   * Removes those that nobody wants and that nobody has held or kept again within the last hour.
   * @returns what was removed
   */
  prune(wanted: ReadonlySet<Digest>, now: Instant): Promise<readonly Digest[]>;
}

export function openContents(stateDir: string, bounds?: ContentBounds): Contents {
  const root = contentRootOf(stateDir);
  const withTree = async (template: Template, sourceDir: string, work: (tree: ContentTree) => Promise<Digest>) => {
    const commands = localCommands(template);
    if (commands.length === 0) return undefined;
    for (const { name, workdir } of commands) requireWorkdirInside(name, workdir);
    return await whileItChanges(async () => await work(await readContentTree(sourceDir, stateDir, bounds)));
  };
  return {
    digest: (template, sourceDir) => withTree(template, sourceDir, digestTree),
    keep: (template, sourceDir) =>
      withTree(template, sourceDir, async (tree) => {
        const content = await digestTree(tree);
        if (!(await hold(root, content))) return await copyTree(root, tree);
        await linkPackages(homeOf(root, content), tree);
        return content;
      }),
    hold: (content) => hold(root, content),
    has: (content) => existsSync(join(homeOf(root, content), "content")),
    prune: (wanted, now) => pruneContents(root, wanted, now),
    dirOf: (content) => join(homeOf(root, content), "content"),
  };
}

/** A build may replace files between the look at a folder and the reading of one: then it is looked at again. */
async function whileItChanges<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || attempt === 5) throw error;
      await delay(100 * attempt);
    }
  }
}

/** Its date says when somebody wanted it last; `pruneContents` leaves alone what is new. */
async function hold(root: string, content: Digest): Promise<boolean> {
  const home = homeOf(root, content);
  try {
    const now = new Date();
    await utimes(home, now, now);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  return existsSync(join(home, "content"));
}

/** The folder of one content: its files in `content`, packages from above the source beside it. */
function homeOf(root: string, content: Digest): string {
  return join(root, content.slice(content.indexOf(":") + 1));
}

type Command = Extract<Component, { readonly kind: "service" | "job" }>;

/** Services and jobs that run from files of this machine. */
function localCommands(template: Template): readonly Command[] {
  return template.stages
    .filter((stage) => stage.engine === "local")
    .flatMap((stage) => stage.components)
    .filter((component) => component.kind === "service" || component.kind === "job")
    .filter((component) => component.command !== undefined);
}

function requireWorkdirInside(name: string, workdir = "."): void {
  if (!normalize(workdir).startsWith("..")) return;
  throw new StampyardError(
    "INVALID_MANIFEST",
    `Component ${name} starts in ${workdir}, outside of the template's folder`,
    {
      mend: "Move stamp.yaml to a folder that holds all it runs: a release keeps only what is in there.",
    },
  );
}

type Seen = readonly [path: string, kind: string, what: string];

async function digestTree(tree: ContentTree): Promise<Digest> {
  const seen = await eachOf(tree.entries, async (entry) => seenOf(entry, await hashOf(tree, entry)));
  return await digestSeen(tree, seen);
}

function seenOf(entry: ContentEntry, hash: string): Seen {
  switch (entry.kind) {
    case "file":
      return [entry.path, entry.isProgram ? "program" : "file", hash];
    case "link":
      return [entry.path, "link", entry.to];
    // Where packages are installed is a matter of the machine; which ones, the lock file says.
    case "packages":
    case "folder":
      return [entry.path, entry.kind, ""];
  }
}

async function hashOf(tree: ContentTree, entry: ContentEntry): Promise<string> {
  return entry.kind === "file" ? await readThrough(join(tree.folder, entry.path)) : "";
}

async function digestSeen(tree: ContentTree, seen: readonly Seen[]): Promise<Digest> {
  const locks = await eachOf(tree.above?.locks ?? [], async (path) => [basename(path), await readThrough(path)]);
  const text = canonicalJson({ files: seen, locks } as unknown as Json);
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/**
 * Copies into a draft and names it by what was copied: a file that is written meanwhile cannot make the copy differ from
 * its digest. Crash: the draft is swept with the next copy.
 */
async function copyTree(root: string, tree: ContentTree): Promise<Digest> {
  await mkdir(root, { recursive: true, mode: 0o711 });
  await chmod(root, 0o711);
  for (const name of await readdir(root)) {
    const isMine = name.startsWith(`.draft-${process.pid}-`);
    if (name.startsWith(".draft-") && !isMine) await rm(join(root, name), { recursive: true, force: true });
  }
  const draft = join(root, `.draft-${process.pid}-${randomBytes(6).toString("hex")}`);
  try {
    // Closed until it is known who may read it.
    await mkdir(draft, { mode: 0o700 });
    await mkdir(join(draft, "content"));
    const folders = tree.entries.filter((entry) => entry.kind === "folder");
    for (const { path } of folders) await mkdir(join(draft, "content", path), { mode: 0o755 });
    // Whatever the umask of who started us is.
    for (const path of ["", ...folders.map((folder) => folder.path)]) await chmod(join(draft, "content", path), 0o755);
    const seen = await eachOf(tree.entries, async (entry) => seenOf(entry, await copyEntry(tree, entry, draft)));
    const content = await digestSeen(tree, seen);
    await linkPackages(draft, tree);
    for (const path of [...folders.map((folder) => folder.path).reverse(), "", ".."]) {
      await syncFolder(join(draft, "content", path));
    }
    await rename(draft, homeOf(root, content)).catch((caught: NodeJS.ErrnoException) => {
      // Somebody else was quicker with the same.
      if (caught.code !== "ENOTEMPTY" && caught.code !== "EEXIST") throw caught;
    });
    await syncFolder(root);
    return content;
  } catch (error) {
    throw asCopyError(error, root);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** @returns digest of the bytes that were written */
async function copyEntry(tree: ContentTree, entry: ContentEntry, draft: string): Promise<string> {
  const target = join(draft, "content", entry.path);
  if (entry.kind === "link") await symlink(entry.to, target);
  return entry.kind === "file" ? await readThrough(join(tree.folder, entry.path), target) : "";
}

/**
 * Links the packages of the source, as they are found from its files: those inside it in their places, the nearest above
 * beside `content`. Again at each apply, since the same files may come from another clone, and the first be gone.
 */
async function linkPackages(home: string, tree: ContentTree): Promise<void> {
  const links: (readonly [string, string])[] = tree.entries.flatMap((entry) =>
    entry.kind === "packages" ? [[join(home, "content", entry.path), entry.to] as const] : [],
  );
  if (tree.above !== undefined) links.push([join(home, "node_modules"), tree.above.packages]);
  for (const [path, to] of links) {
    const draft = `${path}.${randomBytes(6).toString("hex")}`;
    await symlink(to, draft);
    await rename(draft, path);
  }
  // A folder that stamps' own users cannot enter stays closed to them; their services then run as we do, as ever.
  const isOpen = [tree.folder, ...links.map(([, to]) => to)].every(isReachable);
  await chmod(home, isOpen ? 0o755 : 0o700);
}

/** Reads a file once and says its digest; with `copyTo`, writes what it reads. */
async function readThrough(path: string, copyTo?: string): Promise<string> {
  const source = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  let target: FileHandle | undefined;
  try {
    const { mode } = await source.stat();
    if (copyTo !== undefined) {
      target = await open(copyTo, "wx", 0o600);
      // Nobody writes to it again; what was closed to others stays so.
      await target.chmod((mode & 0o555) | 0o400);
    }
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(262_144);
    for (;;) {
      const { bytesRead } = await source.read(buffer, 0, buffer.length);
      if (bytesRead === 0) break;
      const part = buffer.subarray(0, bytesRead);
      hash.update(part);
      if (target !== undefined) await writeAll(target, part);
    }
    await target?.sync();
    return hash.digest("hex");
  } finally {
    await Promise.all([source.close(), target?.close()]);
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** So many files are open at a time. */
const lanes = 8;

async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < items.length; index = next++) {
      try {
        results[index] = await work(items[index] as T);
      } catch (error) {
        next = items.length; // The other lanes end with what they have in hand.
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return results;
}

function asCopyError(error: unknown, root: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new StampyardError("DISK_FULL", `No space left for a release on the disk that holds ${root}`, {
    cause: error,
    mend: "Free some space there, then apply again.",
  });
}
