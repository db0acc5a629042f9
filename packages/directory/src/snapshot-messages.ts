import type { DirectoryChange } from "./change.ts";
import type { DirectoryView } from "./directory.ts";
import type { FeedMessage, FeedPosition } from "./feed.ts";
import { maxFramePayload } from "./frame.ts";

/** Changes per `snapshot-part`: large enough to be cheap, small enough to keep a router answering between two. */
const partChanges = 500;

/**
 * A table as messages of the feed, for who produces it: `snapshot-begin`, parts, `snapshot-end`. Made while it is
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
