import { createHash } from "node:crypto";

/** Bytes that nothing can compress, and that a checker can make again. */
export function blobBody(value: string, bytes: number): Buffer {
  return createHash("shake256", { outputLength: bytes }).update(value).digest();
}

export const blobBytes = 1_048_576;
