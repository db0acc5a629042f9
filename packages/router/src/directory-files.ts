import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  createDirectory,
  type Directory,
  type DirectoryVersion,
  type DirectoryView,
  encodeJournalEntry,
  type FeedPosition,
  type FrozenDirectory,
  feedStart,
  replayJournal,
} from "@stampyard/directory";
import { readSnapshotFile, sha256, writeSnapshotFile } from "./snapshot-file.ts";

export { sha256 } from "./snapshot-file.ts";

/** An empty table with a hash key of its own. A table from disk keeps the key it was written under: the index depends on it. */
export function newDirectory(): Directory {
  const bytes = randomBytes(8);
  return createDirectory({ hashKey: [bytes.readUInt32LE(0), bytes.readUInt32LE(4)] });
}

export interface LoadedDirectory {
  /** undefined: no copy, or none that can be trusted (I14). */
  readonly directory: Directory | undefined;
  readonly position: FeedPosition;
  /** What was wrong with files that were passed over, for the log. */
  readonly problems: readonly string[];
  readonly files: LoadedFiles;
}

interface LoadedFiles {
  readonly generations: readonly number[];
  /** The newest generation whose snapshot was whole. */
  readonly good: number | undefined;
}

/**
 * The last known good table on disk: generations of one snapshot and the journal of changes since.
 *
 *     directory-00000007.snapshot   directory-00000007.journal     the one before, kept
 *     directory-00000008.snapshot   directory-00000008.journal     current
 *
 * Journals chain across generations, so the older snapshot leads to the newest version too.
 */
export interface DirectoryFiles {
  /** Queues one applied change. */
  append(version: DirectoryVersion): void;
  /** Queues a new generation with the table as it is now. */
  snapshot(directory: DirectoryView, position: FeedPosition): void;
  /** Whether the journal has grown enough, and the last snapshot is old enough, for a new generation. */
  wantsSnapshot(): boolean;
  /** Why the disk is behind, or undefined. While it is, nothing is acknowledged; a snapshot mends it. */
  trouble(): string | undefined;
  close(): Promise<void>;
}

export interface FilesOptions {
  /** Everything up to this position is on disk. */
  readonly onDurable: (position: FeedPosition) => void;
  readonly onTrouble: (reason: string) => void;
  /** At most one new generation within this time, in milliseconds. @default 30000 */
  readonly snapshotEveryMs?: number;
}

const namePattern = /^directory-([0-9]{8})\.(snapshot|journal)$/;
const nameOf = (generation: number, kind: "snapshot" | "journal") =>
  `directory-${String(generation).padStart(8, "0")}.${kind}`;

/** Loads the newest table that is whole, with all that the journals add to it. Reads only. */
export async function loadDirectory(folder: string): Promise<LoadedDirectory> {
  const problems: string[] = [];
  const generations = await listGenerations(folder);
  let good: number | undefined;
  let newest: { directory: Directory; position: FeedPosition } | undefined;
  for (const generation of generations.toReversed()) {
    const decoded = await readSnapshotFile(join(folder, nameOf(generation, "snapshot")));
    if (decoded === undefined) continue;
    if (decoded.kind === "corrupt") {
      problems.push(`${nameOf(generation, "snapshot")}: ${decoded.reason}`);
      continue;
    }
    good = generation;
    const journals = generations.filter((other) => other >= generation);
    newest = await replayAll(folder, journals, decoded.directory, decoded.position, problems);
    // Older ones are not looked at: reading one takes as long as reading this one, and requests wait.
    break;
  }
  return {
    directory: newest?.directory,
    position: newest?.position ?? feedStart,
    problems,
    files: { generations, good },
  };
}

async function replayAll(
  folder: string,
  generations: readonly number[],
  directory: Directory,
  from: FeedPosition,
  problems: string[],
) {
  let position = from;
  for (const generation of generations) {
    const bytes = await readIfThere(join(folder, nameOf(generation, "journal")));
    if (bytes === undefined) continue;
    const replayed = replayJournal(bytes, directory, position, sha256);
    position = replayed.position;
    // A torn tail is what a crash leaves; a later journal begins after it only if its entries were written elsewhere.
    if (replayed.end !== "clean") problems.push(`${nameOf(generation, "journal")}: ${replayed.end}`);
    if (replayed.end !== "clean" && replayed.end !== "torn") break;
  }
  return { directory, position };
}

/** Begins to write behind what was loaded. The first thing queued must be a snapshot: a new start is a new generation. */
export function openDirectoryFiles(folder: string, loaded: LoadedFiles, options: FilesOptions): DirectoryFiles {
  const { snapshotEveryMs = 30_000 } = options;
  const writer: Writer = {
    folder,
    options,
    queue: [],
    generation: loaded.generations.at(-1) ?? 0,
    previousGood: loaded.good,
    journal: undefined,
    trouble: undefined,
    writtenAt: Number.NEGATIVE_INFINITY,
  };
  let working: Promise<void> | undefined;
  let snapshotBytes = 0;
  let journalBytes = 0;
  let snapshotAt = Number.NEGATIVE_INFINITY;

  function enqueue(job: Job): void {
    writer.queue.push(job);
    working ??= writeAll(writer).finally(() => {
      working = undefined;
      // Queued between the last look and now.
      if (writer.queue.length > 0) working = writeAll(writer);
    });
  }

  return {
    append(version) {
      const frame = encodeJournalEntry(version);
      const { incarnation, version: number, chain, change } = version;
      journalBytes += frame.length;
      const sync = change.kind === "tenant-put" || change.kind === "tenant-remove";
      enqueue({ kind: "append", frame, position: { incarnation, version: number, chain }, sync });
    },
    snapshot(directory, position) {
      // Frozen now and written later, so that what is appended after it belongs to its own journal.
      const frozen = directory.freeze();
      snapshotBytes = frozen.pieces.reduce((sum, piece) => sum + piece.length, 0);
      journalBytes = 0;
      snapshotAt = performance.now();
      enqueue({ kind: "snapshot", frozen, position });
    },
    wantsSnapshot: () => journalBytes > snapshotBytes / 4 && performance.now() - snapshotAt >= snapshotEveryMs,
    trouble: () => writer.trouble,
    async close() {
      while (working !== undefined) await working;
      await writer.journal?.close();
      writer.journal = undefined;
    },
  };
}

type Job =
  | { readonly kind: "append"; readonly frame: Uint8Array; readonly position: FeedPosition; readonly sync: boolean }
  | { readonly kind: "snapshot"; readonly frozen: FrozenDirectory; readonly position: FeedPosition };

interface Writer {
  readonly folder: string;
  readonly options: FilesOptions;
  readonly queue: Job[];
  generation: number;
  previousGood: number | undefined;
  journal: FileHandle | undefined;
  trouble: string | undefined;
  writtenAt: number;
}

/** The first change goes to disk at once; more changes than this allows share a write and a sync. */
const writeSpacingMs = 5;

async function writeAll(writer: Writer): Promise<void> {
  for (let jobs = take(writer.queue); jobs.length > 0; jobs = take(writer.queue)) {
    const earlyMs = writer.writtenAt + writeSpacingMs - performance.now();
    if (earlyMs > 0 && jobs[0]?.kind === "append") {
      await delay(earlyMs);
      if (writer.queue[0]?.kind === "append") jobs.push(...take(writer.queue));
    }
    writer.writtenAt = performance.now();
    const last = jobs[jobs.length - 1];
    try {
      const written = await write(writer, jobs);
      if (!written || last === undefined) continue;
      writer.trouble = undefined;
      writer.options.onDurable(last.position);
    } catch (caught) {
      writer.trouble = caught instanceof Error ? caught.message : "unknown";
      writer.options.onTrouble(writer.trouble);
    }
  }
}

/** One snapshot, or all the changes up to the next snapshot: they share one write and one sync. */
function take(queue: Job[]): Job[] {
  const end = queue.findIndex((job) => job.kind === "snapshot");
  if (end === 0) return queue.splice(0, 1);
  return queue.splice(0, end < 0 ? queue.length : end);
}

/** False if the changes were skipped, because one before them is missing on disk. */
async function write(writer: Writer, jobs: readonly Job[]): Promise<boolean> {
  const [first] = jobs;
  if (first?.kind === "snapshot") {
    try {
      await writeGeneration(writer, first.frozen, first.position);
    } finally {
      first.frozen.release();
    }
    return true;
  }
  const { journal } = writer;
  if (writer.trouble !== undefined || journal === undefined) return false;
  const frames = jobs.flatMap((job) => (job.kind === "append" ? [job.frame] : []));
  await journal.appendFile(Buffer.concat(frames));
  // An owner that a router forgot could make it route to the old one: changes of epochs are synced (decision D8).
  if (jobs.some((job) => job.kind === "append" && job.sync)) await journal.datasync();
  return true;
}

async function writeGeneration(writer: Writer, frozen: FrozenDirectory, position: FeedPosition): Promise<void> {
  const { folder } = writer;
  const next = writer.generation + 1;
  const name = nameOf(next, "snapshot");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeSnapshotFile(folder, name, frozen, position);
  await putInPlace(folder, name);
  const opened = await open(join(folder, nameOf(next, "journal")), "a", 0o640);
  await writer.journal?.close().catch(() => {});
  writer.journal = opened;
  writer.generation = next;
  // Two good generations stay, and all journals between them, which lead from the older to the newer.
  const oldest = writer.previousGood ?? next;
  writer.previousGood = next;
  for (const old of await listGenerations(folder)) {
    if (old >= oldest) continue;
    for (const kind of ["snapshot", "journal"] as const) await unlink(join(folder, nameOf(old, kind))).catch(() => {});
  }
}

/** Writes a file so that after a crash there is the old one or the new one, whole: write, sync, rename, sync the folder. */
export async function writeDurably(
  folder: string,
  name: string,
  bytes: Uint8Array | string,
  mode: number,
): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `${name}.tmp`);
  const handle = await open(temporary, "w", mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await putInPlace(folder, name);
}

async function putInPlace(folder: string, name: string): Promise<void> {
  await rename(join(folder, `${name}.tmp`), join(folder, name));
  const directory = await open(folder, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function listGenerations(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  const found = names.flatMap((name) => {
    const match = namePattern.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  return [...new Set(found)].sort((left, right) => left - right);
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  return await readFile(path).catch(() => undefined);
}
