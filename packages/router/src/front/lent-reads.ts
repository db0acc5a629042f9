/** Buffers that a socket reads into one after the other. What is read is valid until the next read, unless it is kept. */
export interface LentReads {
  /** Where the next read goes. Asked once at the start, and then behind every read: only there a buffer changes hands. */
  buffer(): Buffer;
  /** What was just read. */
  read(length: number): Buffer;
  /** Reads go to a buffer of this socket's own (`body`) or to one that all share (`head`, as at the start). */
  readFor(what: "head" | "body"): void;
  /** What was read last, in a body, is still in use: the next read goes elsewhere. */
  keep(): void;
}

/** Whether these bytes are in the buffer that all share, which nobody can keep. */
export function isShared(bytes: Buffer): boolean {
  return bytes.buffer === lentBuffer.buffer;
}

const headReadBytes = 64 * 1024;
const bodyReadBytes = 128 * 1024;
/** Where all reads of heads go: one after the other, each is looked at and forgotten before the next. */
const lentBuffer = Buffer.allocUnsafeSlow(headReadBytes);
/** Buffers of bodies that ended. */
const spare: Buffer[] = [];
const mostSpare = 32;

/** Beginnings of the shared buffer by their length, made when they are first read: a view costs more than finding one. */
const views: Buffer[] = [];
const longestKeptView = 2_048;

function viewOf(length: number): Buffer {
  const known = views[length];
  if (known !== undefined) return known;
  const view = lentBuffer.subarray(0, length);
  if (length <= longestKeptView) views[length] = view;
  return view;
}

export function lentReads(): LentReads {
  let own = false;
  let kept = false;
  let current: Buffer = lentBuffer;
  return {
    buffer() {
      if (own) {
        if (kept || current === lentBuffer) current = spare.pop() ?? Buffer.allocUnsafeSlow(bodyReadBytes);
      } else {
        if (!kept && current !== lentBuffer && spare.length < mostSpare) spare.push(current);
        current = lentBuffer;
      }
      kept = false;
      return current;
    },
    read: (length) => (current === lentBuffer ? viewOf(length) : current.subarray(0, length)),
    readFor(what) {
      own = what === "body";
    },
    keep() {
      kept = true;
    },
  };
}
