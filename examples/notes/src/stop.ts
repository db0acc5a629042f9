import type { Server } from "node:http";

/** Runs `stop` once, on the first SIGTERM or SIGINT, then ends the process; a second signal ends it at once. */
export function onStopSignal(stop: (signal: string) => Promise<void>): void {
  let stopping = false;
  const begin = (signal: NodeJS.Signals) => {
    if (stopping) process.exit(1);
    stopping = true;
    stop(signal).then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on("SIGTERM", begin);
  process.on("SIGINT", begin);
}

/**
 * Takes no new connection, closes the idle ones, lets requests under way finish, and after `withinMs` cuts what is left.
 * Answers given meanwhile say `connection: close`, so a client that keeps connections sends its next request elsewhere.
 */
export async function closeServer(server: Server, withinMs: number): Promise<void> {
  server.prependListener("request", (_request, response) => response.setHeader("connection", "close"));
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  // A connection becomes idle when its last answer is out; nothing tells us when that is.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const cut = setTimeout(() => server.closeAllConnections(), withinMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(cut);
}
