import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Batched, flushSoon } from "./write-batch.ts";

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
  /** Holds writes together until `uncork`, in the same turn. */
  cork(): void;
  uncork(): void;
  pause(): void;
  resume(): void;
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

/** Speaks to a socket, or to any other duplex stream such as a TLS one. */
export function openChannel(socket: Duplex, events: ChannelEvents): Channel {
  socket.on("data", (bytes: Buffer) => events.onBytes(bytes));
  listenTo(socket, events);
  return new NodeChannel(socket);
}

function listenTo(socket: Duplex, events: ChannelEvents): void {
  socket.on("drain", () => events.onDrain());
  socket.on("end", () => events.onEnd());
  socket.on("close", () => events.onClose());
  // Always followed by close.
  socket.on("error", () => {});
}

class NodeChannel implements Channel, Batched {
  readonly #socket: Duplex;
  /** Leaves at the end of this turn. */
  #text = "";
  #corked = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }
  write(text: string): boolean {
    if (this.#corked) return this.#socket.write(text, "latin1");
    const first = this.#text === "";
    this.#text += text;
    // Last, because it may flush at once.
    if (first) flushSoon(this);
    return !this.#socket.writableNeedDrain;
  }
  writeBytes(bytes: Buffer): boolean {
    if (this.#text === "") return this.#socket.write(bytes);
    this.#socket.cork();
    this.flush();
    const flows = this.#socket.write(bytes);
    this.#socket.uncork();
    return flows;
  }
  flush(): void {
    const text = this.#text;
    if (text === "") return;
    this.#text = "";
    if (!this.#socket.destroyed) this.#socket.write(text, "latin1");
  }
  cork(): void {
    this.#socket.cork();
    this.flush();
    this.#corked = true;
  }
  uncork(): void {
    this.#corked = false;
    this.#socket.uncork();
  }
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }
  end(): void {
    this.flush();
    this.#socket.end();
  }
  destroy(): void {
    this.#text = "";
    this.#socket.destroy();
  }
  unsent(): number {
    return this.#text.length + this.#socket.writableLength;
  }
  reset(): void {
    this.flush();
    const { resetAndDestroy } = this.#socket as Partial<Socket>;
    if (resetAndDestroy === undefined) this.#socket.destroy();
    else resetAndDestroy.call(this.#socket);
  }
}

const headReadBytes = 64 * 1024;
const bodyReadBytes = 128 * 1024;
/** Where all reads of heads go: one after the other, each is looked at and forgotten before the next. */
const lent = Buffer.allocUnsafeSlow(headReadBytes);
/** Buffers of bodies that ended. */
const spare: Buffer[] = [];
const mostSpare = 32;

/** A channel whose reads are borrowed: what `onBytes` gets is valid during the call, unless somebody says `keep`. */
export interface BorrowingChannel extends Channel {
  /** Reads go to a buffer of this channel's own (`body`) or to one that all share (`head`, as at the start). */
  readFor(what: "head" | "body"): void;
  /** What was read last, in a body, is still in use: the next read goes elsewhere. */
  keep(): void;
}

/** Connects; `onConnected` once it stands, `onClose` of the events if it does not. */
export function connectChannel(
  to: { readonly host: string; readonly port: number },
  events: ChannelEvents,
  onConnected: () => void,
): BorrowingChannel {
  let own = false;
  let kept = false;
  let current: Buffer = lent;
  const socket = connect({
    host: to.host,
    port: to.port,
    noDelay: true,
    allowHalfOpen: false,
    onread: {
      // Asked once at the start, and then behind every read: only there a buffer changes hands, because until then
      // the system may write into it.
      buffer() {
        if (own) {
          if (kept || current === lent) current = spare.pop() ?? Buffer.allocUnsafeSlow(bodyReadBytes);
        } else {
          if (!kept && current !== lent && spare.length < mostSpare) spare.push(current);
          current = lent;
        }
        kept = false;
        return current;
      },
      callback(length: number) {
        events.onBytes(current.subarray(0, length));
        return true;
      },
    },
  });
  socket.once("connect", onConnected);
  listenTo(socket, events);
  return Object.assign(new NodeChannel(socket), {
    readFor(what: "head" | "body") {
      own = what === "body";
    },
    keep() {
      kept = true;
    },
  });
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
