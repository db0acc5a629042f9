import { createServer } from "node:net";

/** True if this address can be listened on now. */
export function isPortFree(port: number, host = "127.0.0.1"): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The wanted port, or, when somebody has it, one that the system gives. */
export async function freePort(wanted: number, host = "127.0.0.1"): Promise<number> {
  if (wanted !== 0 && (await isPortFree(wanted, host))) return wanted;
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port: 0, host }, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
