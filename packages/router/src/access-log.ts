import { closeSync, openSync, write } from "node:fs";

/** One line per request. No query, no headers: those hold secrets. */
export interface AccessEntry {
  /** When the answer ended; ISO 8601. */
  readonly time: string;
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly tenant?: string | undefined;
  readonly stamp?: string | undefined;
  readonly epoch?: number | undefined;
  readonly rule?: string | undefined;
  /** 0 = the client left before it had an answer. */
  readonly status: number;
  readonly reason?: string | undefined;
  /** Until the answer ended; right to the length of a turn of the event loop, within which time stands still. */
  readonly ms: number;
  readonly traceparent?: string | undefined;
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
/** Lines made in a row cost less than lines between which requests are served: the processor has their code at hand. */
const linesAtOnce = 64;
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
    entries: [],
    waiting: "",
    lines: 0,
    dropped: 0,
    torn: false,
    writing: undefined,
    timer: undefined,
  };
  open(log);
  return {
    write(entry) {
      if (log.fd === undefined || log.waiting.length > maxBacklogChars) {
        log.dropped += 1;
        return;
      }
      log.entries.push(entry);
      if (log.entries.length >= linesAtOnce) makeLines(log);
      if (log.waiting.length >= batchChars && log.writing === undefined) void flush(log);
      else log.timer ??= setTimeout(() => void flush(log), flushMs).unref();
    },
    dropped: () => log.dropped,
    reopen: () => void afterWriting(log, () => open(log)),
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
  /** Entries that are no lines yet. */
  readonly entries: AccessEntry[];
  /** Lines that wait, in ASCII, so that characters are bytes. Made flat only once, as bytes. */
  waiting: string;
  /** How many those are. */
  lines: number;
  dropped: number;
  /** The last write was cut short, so the file ends within a line. */
  torn: boolean;
  /** What goes on with the file; undefined = nothing. */
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
  makeLines(log);
  return afterWriting(log, () => writeBatch(log));
}

function makeLines(log: Log): void {
  for (const entry of log.entries) log.waiting += lineOf(entry);
  log.lines += log.entries.length;
  log.entries.length = 0;
}

/** One after the other; a batch that filled up meanwhile follows at once. */
function afterWriting(log: Log, step: () => void | Promise<void>): Promise<void> {
  const mine: Promise<void> = (log.writing ?? Promise.resolve()).then(step).then(() => {
    if (log.writing !== mine) return;
    log.writing = undefined;
    if (log.waiting.length >= batchChars) void flush(log);
  });
  log.writing = mine;
  return mine;
}

async function writeBatch(log: Log): Promise<void> {
  const { waiting, lines, fd } = log;
  if (lines === 0) return;
  log.waiting = "";
  log.lines = 0;
  if (fd === undefined) {
    log.dropped += lines;
    return;
  }
  const bytes = Buffer.from(log.torn ? `\n${waiting}` : waiting, "latin1");
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
  log.dropped += Math.max(0, lines - whole);
}

/**
 * As JSON.stringify would write it, at a fraction of the cost: names and ids have no letter that needs an escape, paths
 * hardly ever. Put together from few pieces, because each costs as much as many letters.
 */
export function lineOf(entry: AccessEntry): string {
  const { tenant, reason, traceparent } = entry;
  let line = beginning(entry.time) + entry.requestId + methodAndPath(entry.method) + escaped(entry.path);
  if (tenant !== undefined) line += beforeTenant + tenant;
  line += placeAndStatus(entry);
  if (reason !== undefined) line += `,"reason":"${escaped(reason)}"`;
  if (traceparent !== undefined) line += `,"traceparent":"${traceparent}"`;
  return line + ending(entry.ms);
}

const beforeTenant = '","tenant":"';

let lastTime = "";
let lastBeginning = "";

/** The same for all lines of a millisecond. */
function beginning(time: string): string {
  if (time !== lastTime) {
    lastTime = time;
    lastBeginning = `{"time":"${time}","requestId":"`;
  }
  return lastBeginning;
}

function methodAndPath(method: string): string {
  return method === "GET" ? '","method":"GET","path":"' : `","method":"${escaped(method)}","path":"`;
}

interface Place {
  readonly epoch: number | undefined;
  readonly rule: string | undefined;
  readonly status: number;
  readonly text: string;
}

/** The last of each stamp: most of its requests have the same. Begins with the end of the text before. */
const places = new Map<string, Place>();
const mostPlaces = 1_024;

function placeAndStatus({ stamp, epoch, rule, status }: AccessEntry): string {
  const known = places.get(stamp ?? "");
  if (known !== undefined && known.epoch === epoch && known.rule === rule && known.status === status) return known.text;
  let text = stamp === undefined ? '"' : `","stamp":"${stamp}"`;
  if (epoch !== undefined) text += `,"epoch":${epoch}`;
  if (rule !== undefined) text += `,"rule":"${rule}"`;
  text += `,"status":${status}`;
  if (places.size >= mostPlaces) places.clear();
  places.set(stamp ?? "", { epoch, rule, status, text });
  return text;
}

const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
/** What JSON.stringify leaves as it is. */
const beyondAscii = /[\x7f-\uffff]/g;

/** What stands between the quotes; in ASCII only, so that a line has as many bytes as characters. */
function escaped(text: string): string {
  if (plain.test(text)) return text;
  const inHex = (letter: string) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text).slice(1, -1).replace(beyondAscii, inHex);
}

/** `.01` to `.99`, `.5` for `.50`: the system's way to write a fraction costs ten times as much as finding it here. */
const fractions: readonly string[] = Array.from({ length: 100 }, (_, n) => String(n / 100).slice(1));

/** Of durations under 10 ms, which most are; made when they are first needed. */
const endings: (string | undefined)[] = Array.from({ length: 1_000 });

function ending(ms: number): string {
  const hundredths = Math.round(ms * 100);
  const isShort = hundredths >= 0 && hundredths < endings.length && hundredths / 100 === ms;
  const kept = isShort ? endings[hundredths] : undefined;
  if (kept !== undefined) return kept;
  const text = `,"ms":${milliseconds(ms)}}\n`;
  if (isShort) endings[hundredths] = text;
  return text;
}

/** As JSON writes it; fast for what has at most two digits behind the point. */
function milliseconds(ms: number): string {
  const hundredths = Math.round(ms * 100);
  if (hundredths / 100 !== ms || ms < 0 || hundredths > 1e9) return String(ms);
  const whole = Math.floor(hundredths / 100);
  return `${whole}${fractions[hundredths - whole * 100]}`;
}

/** W3C trace context, version 00; anything else is passed on but not logged. */
export function traceparentOf(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(value)
    ? value
    : undefined;
}
