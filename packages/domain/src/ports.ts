/** Milliseconds since 1970-01-01T00:00:00Z. The only time in pure code; it is always an argument. */
export type Instant = number;

export interface Clock {
  /** Wall time. */
  now(): Instant;
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Cryptographically strong in production, seeded in tests. */
export interface Random {
  bytes(count: number): Uint8Array;
}

/** SHA-256 (FIPS 180-4) as a port, because pure packages name no crypto of a runtime. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** A lower-case hex SHA-256, written `sha256:<64 hex>`. */
export type Digest = `sha256:${string}`;

/** Rises with every change of leader; store and engines refuse a lower one than they have seen (I28). */
export type FencingToken = number;
