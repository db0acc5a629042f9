/** What the API takes (`MoveCreate` in the reference); said here so that a wrong option needs no call. */
export const shortestPauseMs = 100;
export const longestPauseMs = 30_000;
export const longestWayBackMs = 30 * 86_400_000;
