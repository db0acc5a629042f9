import type { Sha256 } from "@stampyard/domain";
import { utf8 } from "@stampyard/domain";
import { crc32 } from "./crc32.ts";
import type { Directory, DirectoryView, FrozenDirectory, FrozenState } from "./directory.ts";
import type { FeedPosition } from "./feed.ts";
import type { KeyHash } from "./half-sip-hash.ts";
import { shardBytes } from "./key-index.ts";
import { openTable, readState } from "./snapshot-state.ts";

/**
 * A snapshot file, format 2, numbers little-endian:
 *
 *     ┌───────────┬───────────┬────────────┬──────────────┬─────────────────┬──────────────────┐
 *     │ SYSNAP2\n │ u32 bytes │ state JSON │ pieces of the│ u32 CRC-32 of   │ SHA-256 of head, │
 *     │ 8 bytes   │ of state  │ (UTF-8)    │ typed arrays │ each piece      │ lengths and CRCs │
 *     └───────────┴───────────┴────────────┴──────────────┴─────────────────┴──────────────────┘
 *     └───────── head ─────────────────────┘               └───────────── tail ────────────────┘
 *
 * The pieces are the memory of the table, so loading is reading: nothing is parsed, hashed or moved. They stay below
 * about a megabyte each, which makes a file of any size something to write and check between two requests. CRC-32 finds
 * damage; nothing finds forgery, which is why the file is readable by its owner only. That holds for the hash key in it too.
 */
const magic = utf8("SYSNAP2\n");
export const snapshotLeadBytes = magic.length + 4;
const digestBytes = 32;
const maxStateBytes = 64 << 20;

/** CRC-32 as in zlib. One made of machine code reads a million tenants in 30 ms instead of 200. */
export type Checksum = (bytes: Uint8Array) => number;

export interface SnapshotPorts {
  readonly sha256: Sha256;
  /** @default one in JavaScript */
  readonly checksum?: Checksum;
  /** The file names the key, not the function. @default HalfSipHash-2-4 */
  readonly hash?: KeyHash;
}

export type DecodedSnapshot =
  | { readonly kind: "ok"; readonly directory: Directory; readonly position: FeedPosition }
  | { readonly kind: "corrupt"; readonly reason: string };

/** Where the bytes of a file go. Fill `pieces`, then `tail`, in order; then call `finish`. */
export interface SnapshotPlan {
  readonly kind: "ok";
  readonly pieces: readonly Uint8Array[];
  readonly tail: Uint8Array;
  /** All or nothing: a file with one wrong byte gives no table (I14). Never throws. */
  finish(): DecodedSnapshot;
}

/**
 * The bytes of a file, piece by piece: each one's checksum is computed when it is asked for, so that whoever writes them
 * decides how long he computes at a time.
 */
export function* snapshotPieces(
  frozen: FrozenDirectory,
  position: FeedPosition,
  { sha256, checksum = crc32 }: SnapshotPorts,
): Iterable<Uint8Array> {
  const { incarnation, version, chain } = position;
  const state = utf8(JSON.stringify({ incarnation, version, chain, ...frozen.state }));
  const head = new Uint8Array(snapshotLeadBytes + state.length);
  head.set(magic);
  new DataView(head.buffer).setUint32(magic.length, state.length, true);
  head.set(state, snapshotLeadBytes);
  yield head;
  const tail = new Uint8Array(frozen.pieces.length * 4 + digestBytes);
  const view = new DataView(tail.buffer);
  let at = 0;
  for (const piece of frozen.pieces) {
    view.setUint32(at, checksum(piece), true);
    at += 4;
    yield piece;
  }
  tail.set(digestOf(head, tail.subarray(0, at), sha256), at);
  yield tail;
}

/** A whole file at once, for small tables and tests. */
export function encodeSnapshot(
  directory: DirectoryView,
  position: FeedPosition,
  sha256: Sha256,
  ports: Omit<SnapshotPorts, "sha256"> = {},
): Uint8Array {
  const frozen = directory.freeze();
  try {
    const pieces = [...snapshotPieces(frozen, position, { ...ports, sha256 })];
    const file = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      file.set(piece, at);
      at += piece.length;
    }
    return file;
  } finally {
    frozen.release();
  }
}

/** Length of a file's head by its first `snapshotLeadBytes` bytes, or why it has none. */
export function snapshotHeadLength(lead: Uint8Array): number | string {
  if (lead.length < snapshotLeadBytes) return "file is too short";
  if (!magic.every((byte, index) => byte === lead[index])) return "file is no snapshot of this format";
  const length = new DataView(lead.buffer, lead.byteOffset).getUint32(magic.length, true);
  return length > maxStateBytes ? "head is too long" : snapshotLeadBytes + length;
}

/** Makes room for what follows the head in a file of `fileLength` bytes. */
export function planSnapshot(
  head: Uint8Array,
  fileLength: number,
  ports: SnapshotPorts,
): SnapshotPlan | { readonly kind: "corrupt"; readonly reason: string } {
  const read = readState(head.subarray(snapshotLeadBytes));
  if (typeof read === "string") return corrupt(read);
  const { state, position } = read;
  const lengths = pieceLengths(state);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const tailLength = lengths.length * 4 + digestBytes;
  // Before any room is made: a head that was damaged could ask for all memory there is.
  if (head.length + total + tailLength !== fileLength) return corrupt("file has another length than its head says");
  const pieces = lengths.map((length) => new Uint8Array(length));
  const tail = new Uint8Array(tailLength);
  return {
    kind: "ok",
    pieces,
    tail,
    finish() {
      const { sha256, checksum = crc32, hash } = ports;
      const sums = tail.subarray(0, lengths.length * 4);
      const digest = digestOf(head, sums, sha256);
      if (!digest.every((byte, index) => byte === tail[sums.length + index])) return corrupt("digest is wrong");
      const view = new DataView(sums.buffer, sums.byteOffset, sums.length);
      for (const [index, piece] of pieces.entries()) {
        if (view.getUint32(index * 4, true) !== checksum(piece)) return corrupt(`checksum of piece ${index} is wrong`);
      }
      return { kind: "ok", directory: openTable(state, pieces, hash), position };
    },
  };
}

/** A whole file at once; the bytes are copied. */
export function decodeSnapshot(
  file: Uint8Array,
  sha256: Sha256,
  ports: Omit<SnapshotPorts, "sha256"> = {},
): DecodedSnapshot {
  const headLength = snapshotHeadLength(file);
  if (typeof headLength === "string") return corrupt(headLength);
  if (headLength > file.length) return corrupt("head is longer than the file");
  const plan = planSnapshot(file.subarray(0, headLength), file.length, { ...ports, sha256 });
  if (plan.kind === "corrupt") return plan;
  let at = headLength;
  for (const piece of [...plan.pieces, plan.tail]) {
    piece.set(file.subarray(at, at + piece.length));
    at += piece.length;
  }
  return plan.finish();
}

function pieceLengths({ shards, chunks }: FrozenState): number[] {
  return [...shards.filter(([slots]) => slots > 0).map(([slots]) => shardBytes(slots)), ...chunks];
}

/** Of the head and of the checksums of all pieces, and so of everything. */
function digestOf(head: Uint8Array, sums: Uint8Array, sha256: Sha256): Uint8Array {
  const covered = new Uint8Array(head.length + sums.length);
  covered.set(head);
  covered.set(sums, head.length);
  return sha256(covered);
}

function corrupt(reason: string): { readonly kind: "corrupt"; readonly reason: string } {
  return { kind: "corrupt", reason };
}
