import { colon, cr, hexValue, isValueOctet, lf, tokenClass } from "./octets.ts";

/** Takes the data of chunks, as ranges of the bytes that were given. */
export interface ChunkSink {
  onChunkData(bytes: Buffer, from: number, to: number): void;
}

/** Where the decoding of one body stands. */
export interface ChunkState {
  phase: number;
  /** What is left of the chunk. */
  size: number;
  digits: number;
  extensionBytes: number;
  trailerBytes: number;
}

/** Extensions of all chunks of a body, and its trailers: dropped, but not without bound. */
const maxExtensionBytes = 4 * 1024;
const maxTrailerBytes = 16 * 1024;
/** Leading zeros are harmless, but not without end. */
const maxSizeDigits = 32;

const phase = {
  size: 0,
  extension: 1,
  sizeLf: 2,
  data: 3,
  dataCr: 4,
  dataLf: 5,
  lineStart: 6,
  trailerName: 7,
  trailerValue: 8,
  trailerLf: 9,
  endLf: 10,
  done: 11,
} as const;

export function newChunkState(): ChunkState {
  return { phase: phase.size, size: 0, digits: 0, extensionBytes: 0, trailerBytes: 0 };
}

export function isChunkedDone(state: ChunkState): boolean {
  return state.phase === phase.done;
}

/**
 * Decodes a chunked body (RFC 9112 section 7.1) by the letter: every CR LF must be there, sizes are hexadecimal digits
 * and nothing else. Extensions and trailers are checked and dropped, never passed on. Returns where it stopped: `to`, or
 * behind the body's end; -1 = not valid.
 */
export function readChunks(state: ChunkState, bytes: Buffer, from: number, to: number, sink: ChunkSink): number {
  let at = from;
  while (at < to && state.phase !== phase.done) {
    if (state.phase === phase.data) {
      const take = Math.min(state.size, to - at);
      state.size -= take;
      if (state.size === 0) state.phase = phase.dataCr;
      sink.onChunkData(bytes, at, at + take);
      at += take;
    } else {
      const octet = bytes[at++] ?? 0;
      if (!(state.phase < phase.lineStart ? readFrame(state, octet) : readTrailer(state, octet))) return -1;
    }
  }
  return at;
}

/** One octet around the data; false = not valid. */
function readFrame(state: ChunkState, octet: number): boolean {
  switch (state.phase) {
    case phase.size: {
      const digit = hexValue[octet] ?? 255;
      if (digit !== 255) {
        state.size = state.size * 16 + digit;
        state.digits += 1;
        return state.digits <= maxSizeDigits && state.size <= Number.MAX_SAFE_INTEGER;
      }
      if (state.digits === 0 || (octet !== cr && octet !== 0x3b)) return false;
      state.phase = octet === cr ? phase.sizeLf : phase.extension;
      return true;
    }
    case phase.extension:
      state.extensionBytes += 1;
      if (octet === cr) state.phase = phase.sizeLf;
      else if (isValueOctet[octet] !== 1) return false;
      return state.extensionBytes <= maxExtensionBytes;
    case phase.sizeLf:
      state.phase = state.size === 0 ? phase.lineStart : phase.data;
      return octet === lf;
    case phase.dataCr:
      state.phase = phase.dataLf;
      return octet === cr;
    default:
      state.phase = phase.size;
      state.size = 0;
      state.digits = 0;
      return octet === lf;
  }
}

/** One octet behind the last chunk: `name: value` lines, then an empty one. */
function readTrailer(state: ChunkState, octet: number): boolean {
  state.trailerBytes += 1;
  if (state.trailerBytes > maxTrailerBytes) return false;
  switch (state.phase) {
    case phase.lineStart:
      state.phase = octet === cr ? phase.endLf : phase.trailerName;
      return octet === cr || tokenClass[octet] !== 0;
    case phase.trailerName:
      if (octet === colon) state.phase = phase.trailerValue;
      return octet === colon || tokenClass[octet] !== 0;
    case phase.trailerValue:
      if (octet === cr) state.phase = phase.trailerLf;
      return octet === cr || isValueOctet[octet] === 1;
    case phase.trailerLf:
      state.phase = phase.lineStart;
      return octet === lf;
    default:
      state.phase = phase.done;
      return octet === lf;
  }
}
