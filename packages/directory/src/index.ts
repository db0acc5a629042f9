export {
  acceptFeed,
  acceptVersion,
  type FeedEffect,
  type FeedRefusal,
  type FeedState,
  type FeedStep,
  feedStart,
  newFeedState,
  reconnected,
} from "./accept-feed.ts";
export { chainStart, type DirectoryChange, type DirectoryVersion, nextChain } from "./change.ts";
export { type ChangeMeasure, type ChangeRateVerdict, changeRateGuard, measureChanges } from "./change-rate.ts";
export { crc32 } from "./crc32.ts";
export type {
  ChangeRefusal,
  Directory,
  DirectoryCounts,
  DirectoryMemory,
  DirectoryView,
  FrozenDirectory,
  HomeRef,
  StampEntry,
  TenantEntry,
  TenantHome,
} from "./directory.ts";
export { entranceHeader } from "./feed.ts";
export type { DirectoryReport, FeedAcknowledgement, FeedMessage, FeedPosition, HoldAcknowledgement } from "./feed.ts";
export { createFrameDecoder, encodeFrame, type FrameDecoder, type FrameEvent, maxFramePayload } from "./frame.ts";
export { type HashKey, halfSipHash, type KeyHash } from "./half-sip-hash.ts";
export { encodeJournalEntry, type ReplayedJournal, replayJournal } from "./journal.ts";
export { type Reading, readChange } from "./read-change.ts";
export { readFeedMessage, readPosition } from "./read-message.ts";
export {
  type Checksum,
  type DecodedSnapshot,
  decodeSnapshot,
  encodeSnapshot,
  planSnapshot,
  type SnapshotPlan,
  type SnapshotPorts,
  snapshotHeadLength,
  snapshotLeadBytes,
  snapshotPieces,
} from "./snapshot.ts";
export { snapshotMessages } from "./snapshot-messages.ts";
export { viewOf } from "./snapshot-state.ts";
export { createDirectory, type DirectoryOptions } from "./table.ts";
