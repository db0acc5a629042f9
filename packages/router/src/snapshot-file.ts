import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import * as zlib from "node:zlib";
import {
  type DecodedSnapshot,
  type FeedPosition,
  type FrozenDirectory,
  planSnapshot,
  type SnapshotPorts,
  snapshotHeadLength,
  snapshotLeadBytes,
  snapshotPieces,
} from "@stampyard/directory";

export const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

/** What the directory package is given to make and check snapshot files. zlib's CRC-32 came with Node 20.15 and 22.2. */
export const snapshotPorts: SnapshotPorts = {
  sha256,
  ...(typeof zlib.crc32 === "function" ? { checksum: (bytes: Uint8Array) => zlib.crc32(bytes) } : {}),
};

const batchBytes = 1 << 20;
/** Linux takes no more pieces in one call. */
const batchPieces = 1_000;

/** Reads a file into the memory that the table will use; nothing is copied in between. undefined: no such file. */
export async function readSnapshotFile(path: string): Promise<DecodedSnapshot | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (caught) {
    const { code } = caught as NodeJS.ErrnoException;
    return code === "ENOENT" ? undefined : corrupt(`cannot be opened: ${code}`);
  }
  try {
    return await readSnapshot(handle);
  } catch (caught) {
    return corrupt(`cannot be read: ${(caught as NodeJS.ErrnoException).code ?? "unknown"}`);
  } finally {
    await handle.close();
  }
}

async function readSnapshot(handle: FileHandle): Promise<DecodedSnapshot> {
  const { size } = await handle.stat();
  const lead = new Uint8Array(snapshotLeadBytes);
  if (!(await fill(handle, [lead], 0))) return corrupt("file is too short");
  const headLength = snapshotHeadLength(lead);
  if (typeof headLength === "string") return corrupt(headLength);
  if (headLength > size) return corrupt("head is longer than the file");
  const head = new Uint8Array(headLength);
  if (!(await fill(handle, [head], 0))) return corrupt("file is too short");
  const plan = planSnapshot(head, size, snapshotPorts);
  if (plan.kind === "corrupt") return plan;
  if (!(await fill(handle, [...plan.pieces, plan.tail], headLength))) return corrupt("file is too short");
  return plan.finish();
}

/** False if the file ends before the pieces are full. */
async function fill(handle: FileHandle, pieces: readonly Uint8Array[], from: number): Promise<boolean> {
  let position = from;
  for (const batch of batches(pieces)) {
    let rest: readonly Uint8Array[] = batch;
    while (rest.length > 0) {
      const { bytesRead } = await handle.readv(rest, position);
      if (bytesRead === 0) return false;
      position += bytesRead;
      rest = after(rest, bytesRead);
    }
  }
  return true;
}

/**
 * Writes a file so that after a crash there is the old one or the new one, whole. Between two megabytes other work is
 * done, so a table of any size is written without holding requests up. Only its owner may read it: it names the hash key.
 */
export async function writeSnapshotFile(
  folder: string,
  name: string,
  frozen: FrozenDirectory,
  position: FeedPosition,
): Promise<void> {
  const temporary = join(folder, `${name}.tmp`);
  const handle = await open(temporary, "w", 0o600);
  try {
    await handle.chmod(0o600);
    for (const batch of batches(snapshotPieces(frozen, position, snapshotPorts))) {
      let rest: readonly Uint8Array[] = batch;
      while (rest.length > 0) rest = after(rest, (await handle.writev(rest)).bytesWritten);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function* batches(pieces: Iterable<Uint8Array>): Iterable<readonly Uint8Array[]> {
  let batch: Uint8Array[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    batch.push(piece);
    bytes += piece.length;
    if (bytes < batchBytes && batch.length < batchPieces) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

/** What remains of the pieces after so many bytes. */
function after(pieces: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  for (const [index, piece] of pieces.entries()) {
    if (left < piece.length) return [piece.subarray(left), ...pieces.slice(index + 1)];
    left -= piece.length;
  }
  return [];
}

function corrupt(reason: string): DecodedSnapshot {
  return { kind: "corrupt", reason };
}
