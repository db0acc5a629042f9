/** Bounds of one client connection. */

export const maxRequests = 1_000;
/** What a client may send ahead of its turn before we stop reading. */
export const maxAhead = 64 * 1024;
/** Bodies up to this size, if they came with their head, leave in one write with it. */
export const shortBody = 8 * 1024;
export const lingerMs = 500;
export const longestLingerMs = 5_000;
export const requestMs = 300_000;
