import type { Server } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { StampyardError } from "@stampyard/domain";
import type { Hono } from "hono";
import type { Env } from "./shell.ts";

export interface Listening {
  /** E.g. `http://127.0.0.1:4300`, with the port that was really taken. */
  readonly url: string;
  readonly port: number;
  /** Takes no more, gives running requests a moment, then breaks what is left (streams are always left). */
  close(): Promise<void>;
}

const limits = {
  // A client that trickles its head or body holds a socket no longer than this (milliseconds).
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 16_384,
} as const;
const maxConnections = 2_000;
const graceMs = 500;

/** @throws StampyardError PORT_TAKEN, or INTERNAL when the address cannot be listened on */
export async function listen(
  app: Pick<Hono<Env>, "fetch">,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: app.fetch as never,
    serverOptions: limits,
    overrideGlobalObjects: false,
  }) as Server;
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, host, port)));
    server.listen(port, host, resolve);
  });
  const taken = (server.address() as AddressInfo).port;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${taken}`,
    port: taken,
    close: () => close(server),
  };
}

/** @throws StampyardError as `listen` does */
export async function requireFreeAddress({
  host,
  port,
}: {
  readonly host: string;
  readonly port: number;
}): Promise<void> {
  if (port === 0) return;
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, host, port)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): StampyardError {
  if (error.code === "EADDRINUSE") {
    return new StampyardError("PORT_TAKEN", `Port ${port} on ${host} is taken by another process`, {
      cause: error,
      mend: "Stop that process, or give another address (STAMPYARD_LISTEN, --listen).",
    });
  }
  return new StampyardError("INTERNAL", `Cannot listen on ${host}:${port} (${error.code ?? "unknown reason"})`, {
    cause: error,
  });
}
