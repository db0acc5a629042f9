export { chainStart, type DirectoryChange, type DirectoryVersion, nextChain } from "./change.ts";
export type { DirectoryReport, FeedAcknowledgement, FeedMessage, FeedPosition } from "./feed.ts";
