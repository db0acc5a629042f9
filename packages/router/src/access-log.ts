import { closeSync, openSync, write } from "node:fs";

/** One line per request. No query, no headers: those hold secrets. */
export interface AccessEntry {
  /** When the answer ended; ISO 8601. */
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

/** Somebody who is told of every request when it ended. Never blocks, never throws. */
export interface AccessSink {
  write(entry: AccessEntry): void;
}

export interface AccessLog extends AccessSink {
  /** Lines that were not written because the disk was too slow or full. */
  dropped(): number;
  /** Opens the path anew: somebody has moved the file away. Lines that wait go to the old one or the new one, whole. */
  reopen(): void;
  close(): Promise<void>;
}

/** More unwritten text than this, and lines are dropped: a log must not take the router's memory (I13). */
const maxBacklogChars = 4 << 20;
/** So much text is written at once, or what there is after `flushMs`. */
const batchChars = 64 << 10;
const flushMs = 100;

/**
 * Appends JSON lines to a file, made 0640. Several processes share it: the file is opened for appending and every write
 * holds whole lines, so lines never mix. A log that cannot be written loses lines, never requests.
 */
export function openAccessLog(path: string): AccessLog {
  const log: Log = {
    path,
    fd: undefined,
    waiting: [],
    chars: 0,
    dropped: 0,
    torn: false,
    writing: undefined,
    timer: undefined,
  };
  open(log);
  return {
    write(entry) {
      if (log.fd === undefined || log.chars > maxBacklogChars) {
        log.dropped += 1;
        return;
      }
      const line = lineOf(entry);
      log.waiting.push(line);
      log.chars += line.length;
      if (log.chars >= batchChars) void flush(log);
      else log.timer ??= setTimeout(() => void flush(log), flushMs).unref();
    },
    dropped: () => log.dropped,
    reopen() {
      const before = log.writing ?? Promise.resolve();
      log.writing = before.then(() => open(log));
    },
    async close() {
      await flush(log);
      await log.writing;
      if (log.fd !== undefined) closeSync(log.fd);
      log.fd = undefined;
    },
  };
}

interface Log {
  readonly path: string;
  fd: number | undefined;
  waiting: string[];
  /** Characters of what waits. */
  chars: number;
  dropped: number;
  /** The last write was cut short, so the file ends within a line. */
  torn: boolean;
  writing: Promise<void> | undefined;
  timer: NodeJS.Timeout | undefined;
}

function open(log: Log): void {
  const before = log.fd;
  try {
    log.fd = openSync(log.path, "a", 0o640);
    log.torn = false;
  } catch {
    // What cannot be opened is tried again at the next reopening; lines until then are counted as dropped.
    log.fd = undefined;
  }
  if (before !== undefined) closeSync(before);
}

function flush(log: Log): Promise<void> {
  clearTimeout(log.timer);
  log.timer = undefined;
  log.writing = (log.writing ?? Promise.resolve()).then(() => writeBatch(log));
  return log.writing;
}

async function writeBatch(log: Log): Promise<void> {
  const { waiting, fd } = log;
  if (waiting.length === 0) return;
  log.waiting = [];
  log.chars = 0;
  if (fd === undefined) {
    log.dropped += waiting.length;
    return;
  }
  const bytes = Buffer.from(`${log.torn ? "\n" : ""}${waiting.join("")}`);
  const written = await new Promise<number>((resolve) => {
    write(fd, bytes, 0, bytes.length, null, (error, count) => resolve(error === null ? count : 0));
  });
  if (written === bytes.length) {
    log.torn = false;
    return;
  }
  // The rest is not sent after it: another process may have written in between, and the disk is full anyway.
  log.torn = written > 0 ? bytes[written - 1] !== 0x0a : log.torn;
  let whole = 0;
  for (let index = 0; index < written; index++) if (bytes[index] === 0x0a) whole += 1;
  log.dropped += Math.max(0, waiting.length - whole);
}

/** As JSON.stringify would write it, at a fraction of the cost: names and ids have no letter that needs an escape, paths hardly ever. */
export function lineOf(entry: AccessEntry): string {
  let line = `{"time":"${entry.time}","requestId":"${entry.requestId}","method":${quoted(entry.method)},"path":${quoted(entry.path)}`;
  if (entry.tenant !== undefined) line += `,"tenant":"${entry.tenant}"`;
  if (entry.stamp !== undefined) line += `,"stamp":"${entry.stamp}"`;
  if (entry.epoch !== undefined) line += `,"epoch":${entry.epoch}`;
  if (entry.rule !== undefined) line += `,"rule":"${entry.rule}"`;
  line += `,"status":${entry.status}`;
  if (entry.reason !== undefined) line += `,"reason":${quoted(entry.reason)}`;
  line += `,"ms":${entry.ms}`;
  if (entry.traceparent !== undefined) line += `,"traceparent":"${entry.traceparent}"`;
  return `${line}}\n`;
}

const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** W3C trace context, version 00; anything else is passed on but not logged. */
export function traceparentOf(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(value)
    ? value
    : undefined;
}
