import { type ChunkSink, type ChunkState, isChunkedDone, newChunkState, readChunks } from "../http1/chunked.ts";
import type { RequestHead } from "../http1/request-head.ts";

/** A request's body, as it comes in. */
export class RequestBody {
  readonly #chunks: ChunkState | undefined;
  /** Bytes to come, of one with a length. */
  #left: number;

  constructor({ body, length }: Pick<RequestHead, "body" | "length">) {
    this.#chunks = body === "chunked" ? newChunkState() : undefined;
    this.#left = length;
  }
  /** Gives what is its own to `sink`; where that ends, or -1 when it is not valid. */
  read(bytes: Buffer, at: number, sink: ChunkSink): number {
    if (this.#chunks !== undefined) return readChunks(this.#chunks, bytes, at, bytes.length, sink);
    const end = at + Math.min(this.#left, bytes.length - at);
    this.#left -= end - at;
    sink.onChunkData(bytes, at, end);
    return end;
  }
  isDone(): boolean {
    return this.#chunks === undefined ? this.#left === 0 : isChunkedDone(this.#chunks);
  }
}
