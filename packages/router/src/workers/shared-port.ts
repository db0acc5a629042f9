import { createServer, type Server, type Socket } from "node:net";

/** A listening socket that several processes have (D17, where the system cannot share a port among sockets). */
export interface SharedPort {
  readonly port: number;
  /** Sent to workers, who then accept from the same socket. */
  readonly server: Server;
  close(): void;
}

/** Whether two sockets may listen on one port here, so that every worker has a queue of its own. Linux: yes; macOS: no. */
export function canReusePort(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port: 0, reusePort: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Opens the port in this process, which accepts as well, because whoever holds a listening socket in Node does.
 * @param handOn is given what this process accepts; nothing was read from it
 * @throws what `listen` says, e.g. EADDRINUSE
 */
export async function openSharedPort(
  host: string,
  port: number,
  handOn: (socket: Socket) => void,
): Promise<SharedPort> {
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    socket.on("error", () => {});
    handOn(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: 1_024 }, () => {
      server.off("error", reject);
      server.on("error", () => {});
      resolve();
    });
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    server,
    close: () => server.close(),
  };
}
