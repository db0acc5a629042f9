import type { Server, ServerResponse } from "node:http";

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
 * Call it before the server listens. The function it returns takes no new connection, closes the idle ones, lets requests
 * under way finish, and after `withinMs` cuts what is left. Every answer that is given meanwhile says `connection: close`:
 * a client that keeps connections then sends its next request elsewhere, and never into one that we are closing.
 */
export function prepareClose(server: Server): (withinMs: number) => Promise<void> {
  const underWay = new Set<ServerResponse>();
  let closing = false;
  const sendAway = (response: ServerResponse) => {
    if (!response.headersSent) response.setHeader("connection", "close");
  };
  server.prependListener("request", (_request, response: ServerResponse) => {
    underWay.add(response);
    response.once("close", () => underWay.delete(response));
    if (closing) sendAway(response);
  });

  return async (withinMs) => {
    closing = true;
    for (const response of underWay) sendAway(response);
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const cut = setTimeout(() => server.closeAllConnections(), withinMs);
    await closed;
    clearTimeout(cut);
  };
}
