import { createHash } from "node:crypto";
import type { ResponseHead } from "../http1/response-head.ts";

/** The answer must prove that it understood this very request (RFC 6455 section 4.2.2). */
export function isValidSwitch(key: string, head: ResponseHead): boolean {
  if (key === "" || head.upgrade.toLowerCase() !== "websocket") return false;
  const proof = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return proof === head.webSocketAccept;
}

/** Close, 1012 "service restart": the client is asked to come again (RFC 6455 section 5.5.1). */
export function restartFrame(): Buffer {
  return Buffer.from([0x88, 0x02, 0x03, 0xf4]);
}

/** Follows the frames that a stamp sends, to know where one of ours may stand between two of them. */
export interface FrameFollower {
  follow(bytes: Buffer): void;
  /** As `follow`, up to the first end of a frame; the place behind it, or -1 if there is none. */
  followToEnd(bytes: Buffer): number;
  /** Every frame that began has ended. */
  between(): boolean;
  /** The stamp said its own close; nothing may follow it. */
  closed(): boolean;
}

/** Opcode and first length, then up to eight octets of length, then four of mask. */
export function createFrameFollower(): FrameFollower {
  let inHeader = 0;
  let needed = 2;
  let first = 0;
  let lengthEnd = 2;
  let size = 0;
  let left = 0;
  let closed = false;

  function header(octet: number): void {
    if (inHeader === 0) first = octet;
    else if (inHeader === 1) {
      const short = octet & 0x7f;
      size = short < 126 ? short : 0;
      needed = 2 + (short < 126 ? 0 : short === 126 ? 2 : 8) + ((octet & 0x80) === 0 ? 0 : 4);
      if (short < 126) lengthEnd = 2;
      else lengthEnd = short === 126 ? 4 : 10;
    } else if (inHeader < lengthEnd) size = size * 256 + octet;
    inHeader += 1;
    if (inHeader < needed) return;
    if ((first & 0x0f) === 0x08) closed = true;
    left = size;
    inHeader = 0;
    needed = 2;
  }
  function run(bytes: Buffer, stopAtEnd: boolean): number {
    let at = 0;
    while (at < bytes.length) {
      if (left > 0) {
        const take = Math.min(left, bytes.length - at);
        left -= take;
        at += take;
      } else header(bytes[at++] ?? 0);
      if (stopAtEnd && left === 0 && inHeader === 0) return at;
    }
    return -1;
  }

  return {
    follow: (bytes) => void run(bytes, false),
    followToEnd: (bytes) => run(bytes, true),
    between: () => left === 0 && inHeader === 0,
    closed: () => closed,
  };
}
