import { createHash } from "node:crypto";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type ReadRequest, readRequests, valuesOf } from "./strict-reader.ts";

/** A stamp that keeps every byte it gets, reads it with the strict reader, and answers each request with 200. */
export interface RecordingStamp {
  readonly port: number;
  readonly requests: ReadRequest[];
  /** What could not be read: the router sent something that is not canonical. */
  readonly faults: string[];
  /** First bytes that came through a tunnel. */
  readonly tunnelled: string[];
  /** All bytes, as latin1, of all connections. */
  bytes(): string;
  /** Connections on which a request has begun and not ended. */
  unfinished(): number;
  stop(): Promise<void>;
}

interface Connection {
  readonly socket: Socket;
  all: string;
  pending: string;
  tunnel: boolean;
}

export async function startRecordingStamp(keepBytes = false): Promise<RecordingStamp> {
  const connections = new Set<Connection>();
  const stamp = { requests: [] as ReadRequest[], faults: [] as string[], tunnelled: [] as string[] };
  let kept = "";
  const server = createServer({ noDelay: true }, (socket) => {
    const connection: Connection = { socket, all: "", pending: "", tunnel: false };
    connections.add(connection);
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("close", () => connections.delete(connection));
    socket.on("data", (text: string) => {
      if (keepBytes) kept += text;
      receive(connection, text, stamp);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    ...stamp,
    port: (server.address() as AddressInfo).port,
    bytes: () => kept,
    unfinished: () => [...connections].filter((connection) => connection.pending !== "").length,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const { socket } of connections) socket.destroy();
      }),
  };
}

function receive(
  connection: Connection,
  text: string,
  stamp: { requests: ReadRequest[]; faults: string[]; tunnelled: string[] },
): void {
  const { socket } = connection;
  if (connection.tunnel) {
    stamp.tunnelled.push(text);
    socket.write(text, "latin1");
    return;
  }
  connection.pending += text;
  const read = readRequests(connection.pending);
  connection.pending = connection.pending.slice(read.consumed);
  for (const request of read.requests) {
    stamp.requests.push(request);
    const [key] = valuesOf(request.fields, "sec-websocket-key");
    if (valuesOf(request.fields, "upgrade").length > 0 && key !== undefined) {
      connection.tunnel = true;
      socket.write(switchingTo(key), "latin1");
      if (connection.pending !== "") stamp.tunnelled.push(connection.pending);
      connection.pending = "";
      return;
    }
    const body = `stamp saw ${request.method}`;
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nX-Stamp: recording\r\n\r\n`;
    socket.write(request.method === "HEAD" ? head : head + body, "latin1");
  }
  if (read.end.kind === "error") {
    stamp.faults.push(`${read.end.why} in ${JSON.stringify(connection.pending.slice(0, 300))}`);
    connection.pending = "";
    socket.destroy();
  }
}

/** RFC 6455 section 4.2.2. */
export function switchingTo(key: string): string {
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}
