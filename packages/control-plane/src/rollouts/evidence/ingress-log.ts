import { type FileHandle, open, stat } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { type Instant, isName, latencyBounds } from "@stampyard/domain";
import type { RouterCounts, StampCount } from "../../store/rollout-port.ts";

/** Counts requests of an ingress that is not our router, by the log that it writes on this machine. */
export interface IngressLog extends AsyncDisposable {
  /** Its name among those who tell of requests; no router can have it. */
  readonly teller: string;
  /**
   * What was counted since this began to read; undefined while the file cannot be read, which is a silence and not a quiet
   * time.
   */
  read(now: Instant): Promise<RouterCounts | undefined>;
}

export interface IngressRequest {
  readonly stamp: string;
  readonly status: number;
  readonly ms: number;
}

/** What is behind waits for the next time. */
const mostBytes = 16 << 20;
const longestLine = 65_536;

/**
 * Follows a file from its present end on, also when it is rotated by renaming or by truncation. Lines that name no stamp
 * are not ours to count.
 */
export function followIngressLog(path: string): IngressLog {
  const life = randomUUID();
  const stamps = new Map<string, { requests: number; errors: number; latency: number[] }>();
  let number = 0;
  let following: Following | undefined;
  let isFirst = true;

  async function readOnce(): Promise<void> {
    following ??= await openAt(path, isFirst ? "end" : "begin");
    isFirst = false;
    const there = await stat(path).catch(() => undefined);
    const isRotated = there !== undefined && (there.ino !== following.ino || there.size < following.offset);
    for (const line of await linesOf(following)) {
      const request = readIngressLine(line);
      if (request !== undefined) count(request);
    }
    if (!isRotated) return;
    await following.file.close();
    following = undefined;
    await readOnce();
  }

  function count({ stamp, status, ms }: IngressRequest): void {
    const known = stamps.get(stamp) ?? { requests: 0, errors: 0, latency: new Array(latencyBounds.length + 1).fill(0) };
    stamps.set(stamp, known);
    known.requests += 1;
    if (status >= 500) known.errors += 1;
    const found = latencyBounds.findIndex((bound) => ms <= bound);
    const at = found < 0 ? latencyBounds.length : found;
    known.latency[at] = (known.latency[at] ?? 0) + 1;
  }

  return {
    teller: "(ingress)",
    async read(now) {
      try {
        await readOnce();
      } catch {
        // What comes later is new from its first line on.
        isFirst = false;
        await following?.file.close().catch(() => {});
        following = undefined;
        return undefined;
      }
      number += 1;
      const counts = Object.fromEntries([...stamps].map(([stamp, one]) => [stamp, copy(one)]));
      return { router: "(ingress)", life, number, countedAt: now, receivedAt: now, stamps: counts, failing: [] };
    },
    async [Symbol.asyncDispose]() {
      await following?.file.close().catch(() => {});
      following = undefined;
    },
  };
}

/** What was counted goes on: it must not change under who was told before. */
function copy({ requests, errors, latency }: StampCount): StampCount {
  return { requests, errors, latency: [...latency] };
}

interface Following {
  readonly file: FileHandle;
  readonly ino: number;
  offset: number;
  /** Of a line that is not whole yet. */
  rest: string;
}

async function openAt(path: string, where: "begin" | "end"): Promise<Following> {
  const file = await open(path, "r");
  const { ino, size } = await file.stat();
  return { file, ino, offset: where === "end" ? size : 0, rest: "" };
}

async function linesOf(following: Following): Promise<readonly string[]> {
  const { file } = following;
  const { size } = await file.stat();
  const bytes = Math.min(mostBytes, Math.max(0, size - following.offset));
  if (bytes === 0) return [];
  const { bytesRead, buffer } = await file.read(Buffer.alloc(bytes), 0, bytes, following.offset);
  following.offset += bytesRead;
  const lines = (following.rest + buffer.toString("latin1", 0, bytesRead)).split("\n");
  following.rest = (lines.pop() ?? "").slice(-longestLine);
  return lines;
}

const status = /" (\d{3}) /;
const field = (name: string) => new RegExp(`(?:^|[\\s;])${name}="?([^\\s";]+)`);
const fields = {
  stamp: field("stamp"),
  status: field("status"),
  seconds: field("(?:rt|request_time)"),
  ms: field("ms"),
};

/**
 * One line: JSON with `stamp`, `status` and `request_time` in seconds or `ms`; or text, e.g. the combined format, with
 * `stamp=…`, the status behind the quoted request or as `status=…`, and `rt=…` in seconds or `ms=…`.
 * @returns undefined for a line that names no stamp, or no status
 */
export function readIngressLine(line: string): IngressRequest | undefined {
  const row = line.startsWith("{") ? readJson(line) : readText(line);
  const { stamp, status: answered, ms } = row;
  if (stamp === undefined || !isName(stamp) || !(answered >= 100 && answered <= 599)) return undefined;
  return { stamp, status: answered, ms: ms >= 0 ? ms : 0 };
}

interface Row {
  readonly stamp: string | undefined;
  readonly status: number;
  readonly ms: number;
}

const nothing: Row = { stamp: undefined, status: Number.NaN, ms: Number.NaN };

function readJson(line: string): Row {
  try {
    const row = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const { stamp } = row;
    const seconds = row["request_time"] ?? row["rt"];
    const ms = row["ms"] ?? Number(seconds) * 1_000;
    return { stamp: typeof stamp === "string" ? stamp : undefined, status: Number(row["status"]), ms: Number(ms) };
  } catch {
    return nothing;
  }
}

function readText(line: string): Row {
  const found = (pattern: RegExp) => pattern.exec(line)?.[1];
  const ms = found(fields.ms) ?? Number(found(fields.seconds)) * 1_000;
  return { stamp: found(fields.stamp), status: Number(found(fields.status) ?? found(status)), ms: Number(ms) };
}
