import { createWriteStream } from "node:fs";

/** One line per request. No query, no headers: those hold secrets. */
export interface AccessEntry {
  readonly time: string;
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly tenant?: string;
  readonly stamp?: string;
  readonly epoch?: number;
  readonly rule?: string;
  /** 0 = the client left before it had an answer. */
  readonly status: number;
  readonly reason?: string;
  readonly ms: number;
  readonly traceparent?: string;
}

export interface AccessLog {
  write(entry: AccessEntry): void;
  /** Lines that were not written because the disk was too slow or full. */
  dropped(): number;
  close(): Promise<void>;
}

/** More unwritten text than this, and lines are dropped: a log must not take the router's memory (I13). */
const maxBacklogBytes = 4 << 20;

/** Appends JSON lines to a file, made 0640. A log that cannot be written loses lines, never requests. */
export function openAccessLog(path: string): AccessLog {
  const stream = createWriteStream(path, { flags: "a", mode: 0o640 });
  let dropped = 0;
  let failed = false;
  stream.on("error", () => {
    failed = true;
  });
  return {
    write(entry) {
      if (failed || stream.writableLength > maxBacklogBytes) dropped += 1;
      else stream.write(`${JSON.stringify(entry)}\n`);
    },
    dropped: () => dropped,
    close: () =>
      new Promise((resolve) => {
        if (failed) resolve();
        else stream.end(() => resolve());
        stream.once("error", () => resolve());
      }),
  };
}

/** W3C trace context, version 00; anything else is passed on but not logged. */
export function traceparentOf(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(value)
    ? value
    : undefined;
}
