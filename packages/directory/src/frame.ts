import { StampyardError, utf8 } from "@stampyard/domain";
import { crc32 } from "./crc32.ts";
import type { FeedMessage } from "./feed.ts";
import { readFeedMessage } from "./read-message.ts";

/**
 * One message on the wire or in a journal, numbers big-endian:
 *
 *     0        4        8                8 + length
 *     ┌────────┬────────┬────────────────┐
 *     │ length │ crc-32 │ JSON, UTF-8    │   crc over length and JSON, so that a wrong length is noticed too
 *     └────────┴────────┴────────────────┘
 */
const headBytes = 8;

/** No message needs more; a length above it is damage, not data. */
export const maxFramePayload = 1 << 20;

export type FrameEvent =
  | { readonly kind: "message"; readonly message: FeedMessage /** Of the whole frame. */; readonly bytes: number }
  /** Nothing after it can be trusted; every later push gives nothing. */
  | { readonly kind: "corrupt"; readonly reason: string };

export interface FrameDecoder {
  /** Takes the next bytes, in any pieces, and gives what became complete. Never throws. */
  push(bytes: Uint8Array): FrameEvent[];
  /** Bytes of complete, valid frames so far: where a journal may be cut and continued. */
  consumed(): number;
  /** Bytes of an incomplete frame that are waiting for more. */
  pending(): number;
}

/** @throws StampyardError PAYLOAD_TOO_LARGE when the message exceeds `maxFramePayload` */
export function encodeFrame(message: FeedMessage): Uint8Array {
  const payload = utf8(JSON.stringify(message));
  if (payload.length > maxFramePayload) {
    throw new StampyardError("PAYLOAD_TOO_LARGE", `A ${message.kind} message of ${payload.length} bytes fits no frame`);
  }
  const frame = new Uint8Array(headBytes + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, payload.length);
  frame.set(payload, headBytes);
  view.setUint32(4, checksum(frame, 0, payload.length));
  return frame;
}

export function createFrameDecoder(): FrameDecoder {
  let buffer = new Uint8Array(64 * 1024);
  let start = 0;
  let end = 0;
  let consumed = 0;
  let corrupt = false;

  function take(bytes: Uint8Array): void {
    const held = end - start;
    if (end + bytes.length > buffer.length) {
      // Moved to the front, and doubled only if that is not enough: a frame in tiny pieces stays cheap.
      let size = buffer.length;
      while (size < held + bytes.length) size *= 2;
      const larger = size === buffer.length ? buffer : new Uint8Array(size);
      larger.set(buffer.subarray(start, end));
      buffer = larger;
      start = 0;
      end = held;
    }
    buffer.set(bytes, end);
    end += bytes.length;
  }

  function next(): FrameEvent | undefined {
    if (end - start < headBytes) return undefined;
    const view = new DataView(buffer.buffer, buffer.byteOffset + start, end - start);
    const length = view.getUint32(0);
    if (length > maxFramePayload) return { kind: "corrupt", reason: `frame of ${length} bytes, above the limit` };
    if (end - start < headBytes + length) return undefined;
    if (view.getUint32(4) !== checksum(buffer, start, length)) return { kind: "corrupt", reason: "checksum is wrong" };
    const event = readPayload(buffer.subarray(start + headBytes, start + headBytes + length));
    if (event.kind === "message") {
      start += headBytes + length;
      consumed += headBytes + length;
    }
    return event;
  }

  return {
    push(bytes) {
      const events: FrameEvent[] = [];
      if (corrupt) return events;
      take(bytes);
      for (let event = next(); event !== undefined; event = next()) {
        events.push(event);
        if (event.kind === "corrupt") {
          corrupt = true;
          break;
        }
      }
      return events;
    },
    consumed: () => consumed,
    pending: () => end - start,
  };
}

function readPayload(payload: Uint8Array): FrameEvent {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return { kind: "corrupt", reason: "payload is not UTF-8 JSON" };
  }
  const message = readFeedMessage(value);
  return message.ok
    ? { kind: "message", message: message.value, bytes: headBytes + payload.length }
    : { kind: "corrupt", reason: `message is not valid: ${message.problem}` };
}

/** Over the length field and the payload; the four bytes of the checksum itself lie between them. */
function checksum(bytes: Uint8Array, start: number, length: number): number {
  const covered = new Uint8Array(4 + length);
  covered.set(bytes.subarray(start, start + 4));
  covered.set(bytes.subarray(start + headBytes, start + headBytes + length), 4);
  return crc32(covered);
}
