import { type Sha256, utf8 } from "@stampyard/domain";
import type { DirectoryChange } from "./change.ts";
import type { FeedMessage, FeedPosition } from "./feed.ts";
import { maxFramePayload } from "./frame.ts";
import { isRecord, readChange } from "./read-change.ts";
import { readPosition } from "./read-message.ts";
import { createDirectory, type Directory, type DirectoryView } from "./table.ts";

/**
 * A snapshot file:
 *
 *     ┌──────────┬───────────────┬─────────────┬──────────────────────┬─────────────────┐
 *     │ SYSNAP1\n│ u32 length    │ header JSON │ one put per line     │ SHA-256 of all  │
 *     │ 8 bytes  │ of the header │             │ (JSON, UTF-8, \n)    │ before, 32 bytes│
 *     └──────────┴───────────────┴─────────────┴──────────────────────┴─────────────────┘
 */
const magic = utf8("SYSNAP1\n");
const digestBytes = 32;

/** Changes per `snapshot-part`: large enough to be cheap, small enough to keep a router answering between two. */
const partChanges = 500;

export type DecodedSnapshot =
  | { readonly kind: "ok"; readonly directory: Directory; readonly position: FeedPosition }
  | { readonly kind: "corrupt"; readonly reason: string };

export function encodeSnapshot(directory: DirectoryView, position: FeedPosition, sha256: Sha256): Uint8Array {
  const lines: string[] = [];
  for (const put of directory.puts()) lines.push(`${JSON.stringify(put)}\n`);
  const body = utf8(lines.join(""));
  const { incarnation, version, chain } = position;
  const header = utf8(JSON.stringify({ incarnation, version, chain, entries: lines.length, bodyBytes: body.length }));

  const length = magic.length + 4 + header.length + body.length;
  const file = new Uint8Array(length + digestBytes);
  file.set(magic);
  new DataView(file.buffer).setUint32(magic.length, header.length);
  file.set(header, magic.length + 4);
  file.set(body, magic.length + 4 + header.length);
  file.set(sha256(file.subarray(0, length)), length);
  return file;
}

/** All or nothing: a file with one wrong byte gives no table (I14). Never throws. */
export function decodeSnapshot(file: Uint8Array, sha256: Sha256): DecodedSnapshot {
  const length = file.length - digestBytes;
  if (length < magic.length + 4) return corrupt("file is too short");
  if (!equalBytes(sha256(file.subarray(0, length)), file.subarray(length))) return corrupt("checksum is wrong");
  if (!equalBytes(file.subarray(0, magic.length), magic)) return corrupt("file is no snapshot of this format");

  const headerLength = new DataView(file.buffer, file.byteOffset).getUint32(magic.length);
  const bodyStart = magic.length + 4 + headerLength;
  if (bodyStart > length) return corrupt("header is longer than the file");
  const header = parseJson(file.subarray(magic.length + 4, bodyStart));
  const position = readPosition(header);
  if (!position.ok) return corrupt(position.problem);
  if (!isRecord(header) || header["bodyBytes"] !== length - bodyStart) return corrupt("body has another length");

  const directory = createDirectory();
  const text = decodeText(file.subarray(bodyStart, length));
  if (text === undefined) return corrupt("body is not UTF-8");
  const lines = text === "" ? [] : text.slice(0, -1).split("\n");
  for (const line of lines) {
    const problem = applyLine(directory, line);
    if (problem !== undefined) return corrupt(problem);
  }
  if (header["entries"] !== lines.length || directory.entryCount() !== lines.length) {
    return corrupt("count of entries is wrong");
  }
  return { kind: "ok", directory, position: position.value };
}

/**
 * The same as messages of the feed, for who produces it: `snapshot-begin`, parts, `snapshot-end`. Made while it is
 * sent, so the table must not change meanwhile.
 */
export function* snapshotMessages(
  directory: DirectoryView,
  position: FeedPosition,
  options: { readonly shrinkConfirmed: boolean },
): Iterable<FeedMessage> {
  const entries = directory.entryCount();
  yield { kind: "snapshot-begin", entries, shrinkConfirmed: options.shrinkConfirmed, ...only(position) };
  let part: DirectoryChange[] = [];
  let size = 0;
  for (const put of directory.puts()) {
    // Names are ASCII, so characters are bytes; a quarter of the limit leaves room for what is around them.
    const length = JSON.stringify(put).length;
    if (part.length >= partChanges || size + length > maxFramePayload / 4) {
      yield { kind: "snapshot-part", changes: part };
      part = [];
      size = 0;
    }
    part.push(put);
    size += length;
  }
  if (part.length > 0) yield { kind: "snapshot-part", changes: part };
  yield { kind: "snapshot-end", entries, ...only(position) };
}

function only({ incarnation, version, chain }: FeedPosition): FeedPosition {
  return { incarnation, version, chain };
}

function applyLine(directory: Directory, line: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "a line is not JSON";
  }
  const change = readChange(value);
  if (!change.ok) return change.problem;
  if (!change.value.kind.endsWith("-put")) return "a line is not a put";
  return directory.apply(change.value);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decodeText(bytes) ?? "");
  } catch {
    return undefined;
  }
}

function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

function corrupt(reason: string): DecodedSnapshot {
  return { kind: "corrupt", reason };
}
