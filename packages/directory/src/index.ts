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
export type { DirectoryReport, FeedAcknowledgement, FeedMessage, FeedPosition } from "./feed.ts";
export { createFrameDecoder, encodeFrame, type FrameDecoder, type FrameEvent, maxFramePayload } from "./frame.ts";
export { encodeJournalEntry, type ReplayedJournal, replayJournal } from "./journal.ts";
export { type Reading, readChange } from "./read-change.ts";
export { readFeedMessage, readPosition } from "./read-message.ts";
export { type DecodedSnapshot, decodeSnapshot, encodeSnapshot, snapshotMessages } from "./snapshot.ts";
export {
  type ChangeRefusal,
  createDirectory,
  type Directory,
  type DirectoryCounts,
  type DirectoryView,
  type StampEntry,
  type TenantEntry,
} from "./table.ts";
