import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { LentReads } from "./lent-reads.ts";

/**
 * A way around Node's streams for small writes and all reads of plain TCP sockets. It uses what Node does not promise, so
 * it is used only where everything looks as it did when this was tested; anything else goes by the public interface. What
 * is used, and why it is safe beside the stream that owns the socket, is written in docs/decisions/direct-sockets.md.
 */
export interface DirectWriter {
  /** Takes the text, one octet per character; false = it must go by the stream. */
  write(text: string): boolean;
  /** Characters taken that the system has not taken yet. */
  unsent(): number;
}

/** A request to write, as Node's own streams make them. An unused one has no id: it was never given to the system. */
interface WriteRequest {
  oncomplete: ((status: number) => void) | null;
  getAsyncId(): number;
}

interface TcpHandle {
  writeLatin1String(request: WriteRequest, text: string): number;
  useUserBuffer(bytes: Uint8Array): void;
}

interface HandleOwner {
  readonly _handle?: Partial<TcpHandle> | null;
}

/** Where a socket keeps what its `onread` option said. */
interface ReadSlots {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly next: symbol;
}

/** Releases of Node on which the tests of the whole front pass by this way. */
const testedMajor = 24;
/** Writes that are watched for a request to learn from. */
const mostLessons = 64;

const slots = readSlots();
let Request: (new () => WriteRequest) | undefined;
/** Unused; a write that is done at once leaves it unused. */
let spare: WriteRequest | undefined;
let lessons = 0;

/** Why this Node is served by the public interface alone; undefined = it is as expected, so far. */
export function directIoProblem(): string | undefined {
  const major = Number(process.versions.node.split(".")[0]);
  if (major !== testedMajor) return `it was tested on Node ${testedMajor}, not on ${major}`;
  if (slots === undefined) return "sockets do not keep their onread option where they did";
  return undefined;
}

/**
 * A writer beside the stream of a connected socket; undefined where that cannot be.
 * @param onDrain all that it took is sent, after some of it was not at once
 */
export function directWriter(socket: Duplex, onDrain: () => void): DirectWriter | undefined {
  const handle = handleOf(socket);
  if (directIoProblem() !== undefined || handle === undefined) return undefined;
  const owner = socket as unknown as HandleOwner;
  let waiting = 0;
  return {
    unsent: () => waiting,
    write(text) {
      // Closed, it has none any more. What the stream still holds was written first.
      if (owner._handle !== handle || socket.writableLength > 0 || !socket.writable) return false;
      if (Request === undefined || spare === undefined) {
        learnFrom(handle);
        return false;
      }
      const request = spare;
      if (handle.writeLatin1String(request, text) !== 0) {
        socket.destroy();
        return true;
      }
      if (request.getAsyncId() < 0) return true;
      // The system is full: the rest waits in order with all that is written to this handle, by whatever way.
      spare = new Request();
      waiting += text.length;
      request.oncomplete = (status) => {
        waiting -= text.length;
        if (status !== 0) socket.destroy();
        else if (waiting === 0 && !socket.destroyed) onDrain();
      };
      return true;
    },
  };
}

/**
 * Makes an accepted socket read into lent buffers, as `onread` does for one that connects; false where that cannot be.
 * What `onBytes` gets is valid during the call, unless it is kept.
 */
export function readDirectly(socket: Duplex, reads: LentReads, onBytes: (bytes: Buffer) => void): boolean {
  const handle = handleOf(socket);
  if (directIoProblem() !== undefined || slots === undefined || handle === undefined) return false;
  // Somebody has listened or read already: bytes may be in the stream, or on their way to it.
  if (socket.readableFlowing !== null || socket.readableLength > 0 || socket.readableEnded) return false;
  let given = reads.buffer();
  Object.assign(socket, {
    [slots.buffer]: given,
    [slots.callback]: (length: number) => {
      onBytes(reads.read(length));
      return true;
    },
    [slots.next]: () => {
      const next = reads.buffer();
      // Nothing = the same again, which spares the system being told.
      if (next === given) return undefined;
      given = next;
      return next;
    },
  });
  handle.useUserBuffer(given);
  return true;
}

/** Of a plain TCP socket that is open; not of TLS, pipes, or classes made from a socket. */
function handleOf(socket: Duplex): TcpHandle | undefined {
  if (socket.constructor !== Socket || (socket as Socket).connecting) return undefined;
  const { _handle: handle } = socket as unknown as HandleOwner;
  if (handle?.constructor.name !== "TCP" || handle.writeLatin1String === undefined) return undefined;
  return handle.useUserBuffer === undefined ? undefined : (handle as TcpHandle);
}

/** The next write that a stream makes on this handle shows what a request to write is; once for the process. */
function learnFrom(handle: TcpHandle): void {
  if (Request !== undefined || lessons >= mostLessons || Object.hasOwn(handle, "writeLatin1String")) return;
  lessons += 1;
  Object.defineProperty(handle, "writeLatin1String", {
    configurable: true,
    value(this: TcpHandle, request: WriteRequest, text: string, ...rest: []) {
      Reflect.deleteProperty(handle, "writeLatin1String");
      takeClassOf(request);
      return this.writeLatin1String(request, text, ...rest);
    },
  });
}

function takeClassOf(request: WriteRequest): void {
  const Class = request.constructor as new () => WriteRequest;
  try {
    const made = new Class();
    if (Class.name !== "WriteWrap" || made.getAsyncId() !== -1) return;
    Request = Class;
    spare = made;
  } catch {
    // It is something else than it was: the public interface stays in use.
  }
}

function readSlots(): ReadSlots | undefined {
  const buffer = Buffer.alloc(1);
  const callback = () => true;
  const probe = new Socket({ onread: { buffer, callback } });
  const found = new Map(Object.getOwnPropertySymbols(probe).map((symbol) => [symbol.description, symbol]));
  const [bufferSlot, callbackSlot, next] = ["kBuffer", "kBufferCb", "kBufferGen"].map((name) => found.get(name));
  const values = probe as unknown as Readonly<Record<symbol, unknown>>;
  if (bufferSlot === undefined || callbackSlot === undefined || next === undefined) return undefined;
  const asExpected = values[bufferSlot] === buffer && values[callbackSlot] === callback && values[next] === null;
  return asExpected ? { buffer: bufferSlot, callback: callbackSlot, next } : undefined;
}
