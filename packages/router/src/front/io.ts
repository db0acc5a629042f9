import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Arriving } from "./arriving.ts";
import { directWriter, readDirectly } from "./direct-io.ts";
import { lentReads } from "./lent-reads.ts";
import { NodeChannel } from "./node-channel.ts";
import type { ShortRead } from "./short-read.ts";

/**
 * One side of the router's I/O. All that the data path asks of a socket is here, so that another way to the kernel can
 * take the place of `node:net`.
 */
export interface Channel {
  /**
   * One octet per character. It leaves at the end of this turn of the event loop, or with the bytes that follow it. False =
   * the other end is slow; `onDrain` follows.
   */
  write(text: string): boolean;
  writeBytes(bytes: Buffer): boolean;
  /** What `onBytes` gives is valid during the call only, unless somebody says `keep`. */
  readonly lends: boolean;
  /** Reads go to a buffer of this channel's own (`body`) or to one that all share (`head`, as at the start). */
  readFor(what: "head" | "body"): void;
  /** What was read last, in a body, is still in use: the next read goes elsewhere. */
  keep(): void;
  /** Holds writes together until `uncork`, in the same turn. */
  cork(): void;
  uncork(): void;
  pause(): void;
  resume(): void;
  /** Gives what was read in this turn and waits for its end. */
  giveRead(): void;
  /** Ends our direction after what was written. */
  end(): void;
  /** Ends both directions; what was not sent yet is lost, what was written in this turn included. */
  destroy(): void;
  /** Bytes that were written and are not sent yet. */
  unsent(): number;
  /** As `destroy`, but the other end sees a reset: for an answer that must not look complete. */
  reset(): void;
}

export interface ChannelEvents {
  onBytes(bytes: Buffer): void;
  /** Whether a head may begin with what comes next. A short read is then given as `onShortRead`, at the end of this turn. */
  awaitsHead(): boolean;
  /** It is the receiver's. */
  onShortRead(read: ShortRead): void;
  onDrain(): void;
  /** The other end sends no more. */
  onEnd(): void;
  /** Both directions are over; nothing follows. */
  onClose(): void;
}

export interface Listener {
  readonly port: number;
  /** Takes no new connections. Resolves when the last one has ended. */
  close(): Promise<void>;
}

/** How sockets are served: by Node's public interface, or past it where that can be. */
export type IoMode = "public" | "fast";

/** Speaks to a client by a socket, or to any other duplex stream such as a TLS one. */
export function openChannel(socket: Duplex, events: ChannelEvents, mode: IoMode): Channel {
  const arriving = new Arriving(events, "client");
  const onBytes = (bytes: Buffer) => arriving.onBytes(bytes);
  const reads = mode === "fast" ? lentReads() : undefined;
  const direct = reads !== undefined && readDirectly(socket, reads, onBytes);
  if (!direct) readFrom(socket, onBytes);
  listenTo(socket, arriving);
  const channel = new NodeChannel(socket, "client", arriving, direct ? reads : undefined);
  if (mode === "fast") channel.writeBy(directWriter(socket, () => events.onDrain()));
  return channel;
}

/**
 * As listening to `data`, which is what happens wherever the stream has a part in it: while it is paused, holds bytes, or
 * ends. Else what a socket pushes is taken before its stream does its accounts for it, which is most of what reading costs
 * in JavaScript.
 */
function readFrom(socket: Duplex, onBytes: (bytes: Buffer) => void): void {
  socket.on("data", onBytes);
  if (!(socket instanceof Socket)) return;
  const push = socket.push.bind(socket);
  socket.push = (bytes: unknown, encoding?: BufferEncoding) => {
    if (!(bytes instanceof Uint8Array) || socket.readableFlowing !== true || socket.readableLength > 0) {
      return push(bytes, encoding);
    }
    onBytes(bytes as Buffer);
    return true;
  };
}

function listenTo(socket: Duplex, events: Arriving): void {
  socket.on("drain", () => events.onDrain());
  socket.on("end", () => events.onEnd());
  socket.on("close", () => events.onClose());
  // Always followed by close.
  socket.on("error", () => {});
}

/** Connects to a stamp; `onConnected` once it stands, `onClose` of the events if it does not. */
export function connectChannel(
  to: { readonly host: string; readonly port: number },
  events: ChannelEvents,
  mode: IoMode,
  onConnected: () => void,
): Channel {
  const arriving = new Arriving(events, "stamp");
  const reads = lentReads();
  const socket = connect({
    host: to.host,
    port: to.port,
    noDelay: true,
    allowHalfOpen: false,
    onread: {
      buffer: () => reads.buffer(),
      callback(length: number) {
        arriving.onBytes(reads.read(length));
        return true;
      },
    },
  });
  const channel = new NodeChannel(socket, "stamp", arriving, reads);
  socket.once("connect", () => {
    if (mode === "fast") channel.writeBy(directWriter(socket, () => events.onDrain()));
    onConnected();
  });
  listenTo(socket, arriving);
  return channel;
}

/**
 * Listens for connections. Errors of single accepts, such as too many open files, are survived.
 * @throws what `listen` says, e.g. EADDRINUSE
 */
export async function listenOn(
  at: { readonly host: string; readonly port: number; readonly reusePort: boolean },
  onSocket: (socket: Socket) => void,
): Promise<Listener> {
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, onSocket);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: at.host, port: at.port, reusePort: at.reusePort, backlog: 1024 }, () => {
      server.off("error", reject);
      server.on("error", () => {});
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
