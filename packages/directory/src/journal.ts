import type { Sha256 } from "@stampyard/domain";
import { type DirectoryVersion, nextChain } from "./change.ts";
import type { FeedPosition } from "./feed.ts";
import { createFrameDecoder, encodeFrame } from "./frame.ts";
import type { ChangeRefusal, Directory } from "./directory.ts";

export interface ReplayedJournal {
  /** Where the table stands now. */
  readonly position: FeedPosition;
  readonly applied: number;
  /** Length of the part that was applied; the file may be cut here and continued. */
  readonly goodBytes: number;
  /** `torn` = the last write did not finish, which a crash does; the others are damage or another history. */
  readonly end: "clean" | "torn" | "corrupt" | "gap" | "chain" | "unknown-change" | ChangeRefusal;
  readonly reason?: string;
}

/** A journal is the deltas since its snapshot, one frame each. */
export function encodeJournalEntry(version: DirectoryVersion): Uint8Array {
  const { incarnation, version: number, chain, change } = version;
  return encodeFrame({ kind: "delta", incarnation, version: number, chain, change });
}

/**
 * Applies a journal to the table of its snapshot, as far as it is gapless, chained and whole. What was applied is true
 * whatever `end` says: every entry proves itself by the chain. Never throws.
 */
export function replayJournal(
  bytes: Uint8Array,
  directory: Directory,
  from: FeedPosition,
  sha256: Sha256,
): ReplayedJournal {
  const decoder = createFrameDecoder();
  let position = from;
  let applied = 0;
  let goodBytes = 0;
  const stop = (end: ReplayedJournal["end"], reason?: string): ReplayedJournal => ({
    position,
    applied,
    goodBytes,
    end,
    ...(reason === undefined ? {} : { reason }),
  });

  for (const piece of pieces(bytes)) {
    for (const event of decoder.push(piece)) {
      if (event.kind === "corrupt") return stop("corrupt", event.reason);
      const { message } = event;
      if (message.kind === "unknown-change") {
        return stop("unknown-change", `a change of kind ${message.name}, which a newer version wrote`);
      }
      if (message.kind !== "delta") return stop("corrupt", `a ${message.kind} message in a journal`);
      if (message.incarnation !== position.incarnation || message.version !== position.version + 1) {
        return stop("gap", `version ${message.version} after ${position.version}`);
      }
      if (message.chain !== nextChain(position.chain, message.change, sha256)) {
        return stop("chain", `version ${message.version} belongs to another history`);
      }
      const refusal = directory.apply(message.change);
      if (refusal !== undefined) return stop(refusal, `version ${message.version} cannot be applied`);
      position = { incarnation: message.incarnation, version: message.version, chain: message.chain };
      applied += 1;
      goodBytes += event.bytes;
    }
  }
  return decoder.pending() > 0 ? stop("torn", `${decoder.pending()} bytes of an unfinished entry`) : stop("clean");
}

/** Pieces, so that the decoder's buffer stays small whatever the file's size. */
function* pieces(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
