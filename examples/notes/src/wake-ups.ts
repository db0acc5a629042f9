import { connect, type NodeConnectionOptions } from "@nats-io/transport-node";
import { type Log, reasonOf } from "./log.ts";

/**
 * NATS carries "look into the outbox", nothing else: a lost or repeated message costs at most one poll, so nothing here
 * ever fails a request or holds a start.
 */
export interface WakeUps {
  /** Says that a job waits. Never throws. */
  wake(): void;
  /** Calls `look` on every wake-up that reaches this process. */
  onWake(look: () => void): void;
  close(): Promise<void>;
}

const subject = "notes.outbox";

type Connection = Awaited<ReturnType<typeof connect>>;

export function openWakeUps(url: string, log: Log): WakeUps {
  let connection: Connection | undefined;
  let connected = false;
  let closed = false;
  const listeners: (() => void)[] = [];

  const subscribe = (look: () => void) => {
    // No queue group: several workers may look at once, and row locks keep them off each other's jobs.
    connection?.subscribe(subject, { callback: (error) => (error === null ? look() : undefined) });
  };

  const begin = async () => {
    const opened = await connect({ ...queueAddress(url), name: "notes", waitOnFirstConnect: true, ...forever });
    if (closed) return await opened.close();
    connection = opened;
    connected = true;
    for (const look of listeners) subscribe(look);
    for await (const change of opened.status()) {
      if (change.type === "disconnect") connected = false;
      if (change.type === "reconnect") connected = true;
      if (change.type === "disconnect" || change.type === "reconnect") log(`wake-ups-${change.type}`);
    }
  };
  begin().catch((error: unknown) => log("wake-ups-off", { reason: reasonOf(error) }));

  return {
    wake() {
      // While it is away the client would keep every message in memory; the worker's poll finds the job anyway.
      if (!connected) return;
      try {
        connection?.publish(subject);
      } catch {
        // Closed this moment: as above.
      }
    },
    onWake(look) {
      listeners.push(look);
      subscribe(look);
    },
    async close() {
      closed = true;
      // Draining sends what is under way; without a connection it would wait for one.
      if (connected) await connection?.drain().catch(() => {});
      else await connection?.close().catch(() => {});
    },
  };
}

const forever = { maxReconnectAttempts: -1, reconnectTimeWait: 500, reconnectJitter: 250 };

/**
 * The client takes user and password beside the address, not inside it.
 * @throws Error that does not repeat the URL, which holds a password
 */
export function queueAddress(text: string): NodeConnectionOptions {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["nats:", "tls:"].includes(url.protocol))
    throw new Error("QUEUE_URL must begin with nats://");
  const servers = `${url.hostname}:${url.port || "4222"}`;
  const tls = url.protocol === "tls:" ? { tls: {} } : {};
  if (url.username === "") return { servers, ...tls };
  if (url.password === "") return { servers, token: decodeURIComponent(url.username), ...tls };
  return { servers, user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password), ...tls };
}
