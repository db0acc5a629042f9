import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { ClientSide, Exchange } from "../front/exchange.ts";
import { startTimerWheel } from "../front/timer-wheel.ts";
import type { RequestHead } from "../http1/request-head.ts";
import { type Http2Connection, type Http2Timeouts, serveHttp2 } from "../http2/http2-session.ts";
import {
  endHeaders,
  endStream,
  frame,
  frameType,
  headerBlock,
  preface,
  readFrames,
  type SeenFrame,
} from "./http2-frames.ts";

export interface Opened {
  readonly head: RequestHead;
  readonly client: ClientSide;
  readonly events: string[];
  body: string;
}

/** A server of HTTP/2 without TLS, and exchanges whose behaviour a test sets. */
export interface Http2Bed {
  readonly port: number;
  opened: Opened[];
  readonly refused: { reason: string; method: string; status: number }[];
  readonly closed: { count: number };
  readonly live: Set<Http2Connection>;
  /** Of connections from now on. */
  timeouts: Http2Timeouts;
  onOpen: (one: Opened) => void;
  onBodyEnd: (one: Opened) => void;
  session(): ClientHttp2Session;
  /** Sends bytes and collects the frames that come until the connection ends or `until` holds. */
  rawAsk(bytes: Buffer, until?: (frames: readonly SeenFrame[]) => boolean): Promise<SeenFrame[]>;
  /** Ended with the bed. */
  own(client: { destroy(): void }): void;
  stop(): Promise<void>;
}

export async function makeHttp2Bed(): Promise<Http2Bed> {
  const wheel = startTimerWheel(() => performance.now());
  const owned: { destroy(): void }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    const context = () => ({ peerTrusted: false, guarded: [] });
    const open = (head: RequestHead, client: ClientSide) => openFake(bed, head, client);
    const serving = { wheel, context, open, refused: (one: Http2Bed["refused"][number]) => void bed.refused.push(one) };
    const gone = () => {
      bed.closed.count += 1;
      bed.live.delete(connection);
    };
    const peer = { address: "127.0.0.1", scheme: "https" } as const;
    const connection: Http2Connection = serveHttp2(socket, peer, serving, gone, bed.timeouts);
    bed.live.add(connection);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const bed: Http2Bed = {
    port,
    opened: [],
    refused: [],
    closed: { count: 0 },
    live: new Set(),
    timeouts: {},
    onOpen({ head, client }) {
      if (head.body === "none") client.whole(200, "content-type: text/plain\r\n", `hello ${head.hostName}${head.path}`);
      else client.wantBody();
    },
    onBodyEnd: (one) => one.client.whole(200, "", `got ${one.body.length}`),
    session() {
      const client = connectHttp2("http://acme.example.com", { createConnection: () => connect(port, "127.0.0.1") });
      client.on("error", () => {});
      owned.push(client);
      return client;
    },
    rawAsk(bytes, until = () => false) {
      const socket = connect(port, "127.0.0.1");
      owned.push(socket);
      return collect(socket, bytes, until);
    },
    own: (client) => void owned.push(client),
    async stop() {
      for (const client of owned.splice(0)) client.destroy();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      wheel.stop();
    },
  };
  return bed;
}

function openFake(bed: Http2Bed, head: RequestHead, client: ClientSide): Exchange {
  const one: Opened = { head, client, events: [], body: "" };
  bed.opened.push(one);
  return {
    head,
    start: () => bed.onOpen(one),
    onBodyBytes(bytes) {
      one.body += bytes.toString("latin1");
      return true;
    },
    holdsBody: () => false,
    onBodyEnd() {
      one.events.push("end");
      bed.onBodyEnd(one);
    },
    onBodyBroken(reason) {
      one.events.push(reason);
      client.whole(400, "", reason);
    },
    onClientDrain: () => void one.events.push("drain"),
    onClientGone: () => void one.events.push("gone"),
    onTunnelBytes: () => true,
    onTunnelEnd: () => {},
  };
}

export interface Got {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
  readonly code: number;
}

export function ask(client: ClientHttp2Session, headers: OutgoingHttpHeaders = {}, body?: string): Promise<Got> {
  return new Promise((resolve) => {
    const all = { ":scheme": "https", ":authority": "acme.example.com", ":path": "/", ...headers };
    const stream = client.request(all, { endStream: body === undefined });
    let got = {};
    let text = "";
    stream.setEncoding("latin1");
    stream.on("response", (answer) => {
      got = answer;
    });
    stream.on("data", (chunk: string) => {
      text += chunk;
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      const status = Number((got as Record<string, unknown>)[":status"] ?? 0);
      resolve({ status, headers: got, body: text, code: stream.rstCode ?? 0 });
    });
    if (body !== undefined) stream.end(body);
  });
}

function collect(
  socket: Socket,
  bytes: Buffer,
  until: (frames: readonly SeenFrame[]) => boolean,
): Promise<SeenFrame[]> {
  return new Promise((resolve, reject) => {
    const frames: SeenFrame[] = [];
    let rest: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => reject(new Error(`No end; frames: ${JSON.stringify(frames)}`)), 5_000);
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(frames);
    };
    socket.on("data", (chunk) => {
      const read = readFrames(Buffer.concat([rest, chunk]));
      rest = read.rest;
      frames.push(...read.frames);
      if (until(frames)) end();
    });
    socket.on("error", () => {});
    socket.on("close", end);
    socket.write(Buffer.concat([preface, frame(frameType.settings, 0, 0), bytes]));
  });
}

export const fields = (path = "/"): [string, string][] => [
  [":method", "GET"],
  [":scheme", "https"],
  [":authority", "acme.example.com"],
  [":path", path],
];
export const request = (stream: number, list = fields(), flags = endHeaders | endStream) =>
  frame(frameType.headers, flags, stream, headerBlock(list));
