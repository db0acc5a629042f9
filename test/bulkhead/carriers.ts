import { randomBytes } from "node:crypto";
import { connect as connectHttp2, constants } from "node:http2";
import type { Socket } from "node:net";
import { exchange, open } from "./load.ts";

export const carriers = ["HTTP/1.1", "HTTP/2", "WebSocket"] as const;
export type Carrier = (typeof carriers)[number];

export interface Reply {
  /** "" = none came in time, or the connection ended. */
  readonly status: string;
  readonly retryAfter: string | undefined;
  /** The body, or what came through a tunnel. */
  readonly text: string;
}

/** One connection to the router, or one tunnel through it. */
export interface CarrierClient {
  ask(withinMs: number): Promise<Reply>;
  isOpen(): boolean;
  destroy(): void;
}

export interface Doors {
  readonly port: number;
  readonly tlsPort: number;
}

export type OpenClient = (host: string) => Promise<CarrierClient>;

/** How clients of a carrier come to the router: plain, but for HTTP/2, which is spoken over TLS only. */
export function clientsOf(carrier: Carrier, { port, tlsPort }: Doors): OpenClient {
  switch (carrier) {
    case "HTTP/1.1":
      return async (host) => plainClient(await open(port), host);
    case "HTTP/2":
      return async (host) => http2Client(tlsPort, host);
    case "WebSocket":
      return async (host) => webSocketClient(await open(port), host);
  }
}

function plainClient(socket: Socket, host: string): CarrierClient {
  let closing = false;
  return {
    async ask(withinMs) {
      const text = await exchange(socket, host, withinMs);
      const reply = replyOf(text);
      closing = reply.status === "" || /^connection: close/im.test(text);
      return reply;
    },
    isOpen: () => !closing && !socket.destroyed,
    destroy: () => socket.destroy(),
  };
}

function replyOf(text: string): Reply {
  const body = text.indexOf("\r\n\r\n");
  return {
    status: /^HTTP\/1\.1 ([0-9]{3}) /.exec(text)?.[1] ?? "",
    retryAfter: /^retry-after: (.*)$/im.exec(text)?.[1],
    text: body < 0 ? text : text.slice(body + 4),
  };
}

function http2Client(port: number, host: string): CarrierClient {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { servername: host, rejectUnauthorized: false });
  session.on("error", () => {});
  return {
    ask: (withinMs) =>
      new Promise((resolve) => {
        if (session.closed || session.destroyed) return void resolve({ status: "", retryAfter: undefined, text: "" });
        const stream = session.request({ ":authority": host, ":path": "/" });
        let status = "";
        let retryAfter: string | undefined;
        let text = "";
        let whole = false;
        const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), withinMs);
        stream.setEncoding("latin1");
        stream.on("response", (headers) => {
          status = String(headers[":status"] ?? "");
          retryAfter = headers["retry-after"];
        });
        stream.on("data", (part: string) => {
          if (text.length < 65_536) text += part;
        });
        stream.on("end", () => {
          whole = true;
        });
        stream.on("error", () => {});
        stream.on("close", () => {
          clearTimeout(timer);
          resolve(whole && stream.rstCode === 0 ? { status, retryAfter, text } : { status: "", retryAfter, text });
        });
      }),
    isOpen: () => !session.closed && !session.destroyed,
    destroy: () => session.destroy(),
  };
}

/** A text frame of a client that says "hi", masked with zeros; the stamp answers each with its name. */
const greeting = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);

/** The first question opens the tunnel; what is no 101 is the reply. */
function webSocketClient(socket: Socket, host: string): CarrierClient {
  let opened = false;
  return {
    async ask(withinMs) {
      const until = performance.now() + withinMs;
      if (!opened) {
        const key = randomBytes(16).toString("base64");
        const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n`;
        const reply = replyOf(await exchange(socket, host, withinMs, upgrade));
        if (reply.status !== "101") return reply;
        opened = true;
      }
      const text = await frameOf(socket, until - performance.now());
      return { status: text === "" ? "" : "101", retryAfter: undefined, text };
    },
    isOpen: () => !socket.destroyed,
    destroy: () => socket.destroy(),
  };
}

/** Sends a greeting; the payload of the frame that answers it, or "". */
function frameOf(socket: Socket, withinMs: number): Promise<string> {
  if (socket.destroyed) return Promise.resolve("");
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const finish = (text: string) => {
      clearTimeout(timer);
      socket.off("data", read);
      socket.off("close", gone);
      resolve(text);
    };
    const gone = () => finish("");
    const read = (more: Buffer) => {
      bytes = Buffer.concat([bytes, more]);
      const length = bytes[1] ?? 0;
      if (bytes.length > 1 && bytes.length >= 2 + length) finish(bytes.toString("latin1", 2));
    };
    const timer = setTimeout(gone, withinMs);
    socket.on("data", read);
    socket.once("close", gone);
    socket.write(greeting);
  });
}
