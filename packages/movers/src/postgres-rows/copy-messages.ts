/**
 * What a server sends while it answers `copy … to stdout`, as whole messages. Rows are told from the rest by the first byte
 * of their message and are not looked into: a target takes them as they are (PostgreSQL manual, 54.2.6 "COPY Operations",
 * 54.7 "Message Formats").
 */
export interface CopyReader {
  /** Takes the next bytes of the connection, cut anywhere. Keeps none of them: what it needs later it copies. */
  read(chunk: Buffer): void;
}

export interface CopyHeard {
  /** One or more whole CopyData messages, heads included. `bytes` are those of the rows alone. */
  rows(messages: Buffer, bytes: number): void;
  /** A whole message that may stand between them, such as a notice. */
  aside(message: Buffer): void;
  /** The first message that ends the rows, be it CopyDone or an error, and all that follows it. Nothing is read any more. */
  end(rest: Buffer): void;
}

/** A message: one byte that tells its kind, and a length that counts itself and what follows. */
const headBytes = 5;
const copyData = kind("d");
/** CopyOutResponse; and what a server may say at any time: notices, parameters, notifications. */
const asides = new Set(["H", "N", "S", "A"].map(kind));

function kind(letter: string): number {
  return letter.charCodeAt(0);
}

export function createCopyReader(heard: CopyHeard): CopyReader {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let needed = headBytes;
  let isOver = false;
  let left: Buffer = Buffer.alloc(0);

  /** Where reading stopped: before a message that is not whole, or that ends the rows. */
  function readWhole(bytes: Buffer): number {
    let from = 0;
    let at = 0;
    let heads = 0;
    const tellRows = () => {
      if (at > from) heard.rows(bytes.subarray(from, at), at - from - heads * headBytes);
      heads = 0;
    };
    for (;;) {
      const isHeadThere = at + headBytes <= bytes.length;
      const end = isHeadThere ? at + 1 + bytes.readUInt32BE(at + 1) : Number.POSITIVE_INFINITY;
      const is = bytes[at] ?? 0;
      if (end <= bytes.length && is === copyData) {
        heads += 1;
        at = end;
        continue;
      }
      tellRows();
      isOver = isHeadThere && is !== copyData && !asides.has(is);
      needed = isHeadThere ? end - at : headBytes;
      if (isOver || end > bytes.length) return at;
      heard.aside(bytes.subarray(at, end));
      from = end;
      at = end;
    }
  }

  /** Adds to a message that came in pieces as much as it lacks, and returns how much that was. */
  function complete(chunk: Buffer): number {
    const piece = Buffer.from(chunk.subarray(0, needed - heldBytes));
    held.push(piece);
    heldBytes += piece.length;
    if (heldBytes === needed) hold(held.length === 1 ? piece : Buffer.concat(held, heldBytes));
    return piece.length;
  }

  /** Reads what is whole; the rest waits for its other pieces. */
  function hold(bytes: Buffer): void {
    const at = readWhole(bytes);
    const rest = bytes.subarray(at);
    held = isOver || rest.length === 0 ? [] : [Buffer.from(rest)];
    heldBytes = isOver ? 0 : rest.length;
    if (isOver) left = rest;
  }

  return {
    read(chunk) {
      let at = 0;
      while (heldBytes > 0 && at < chunk.length && !isOver) at += complete(chunk.subarray(at));
      if (heldBytes === 0 && at < chunk.length && !isOver) {
        hold(chunk.subarray(at));
        at = chunk.length;
      }
      if (isOver) heard.end(Buffer.concat([left, chunk.subarray(at)]));
    },
  };
}
