import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LogLine, LogOptions } from "@stampyard/domain";
import { readJson } from "./file.ts";
import { type Goal, redact, secretsOf } from "./goal.ts";
import type { StampPlace } from "./places.ts";

const pollMs = 200;
const chunkBytes = 256 * 1024;

interface Source {
  readonly component: string;
  readonly replica: number;
  readonly path: string;
  offset: number;
  /** The begin of a line whose end is not written yet. */
  rest: string;
}

/** Lines of a stamp's logs, secrets taken out; with `follow`, until the signal. */
export async function* followLogs(place: StampPlace, options: LogOptions): AsyncGenerator<LogLine> {
  const secrets = secretsOfPlace(place);
  const sources = new Map<string, Source>();
  const show = (source: Source, text: string): LogLine => {
    return { component: source.component, replica: source.replica, text: redact(text, secrets) };
  };
  for (const source of findSources(place, options.component)) {
    sources.set(source.path, source);
    for (const text of readNew(source).slice(-(options.tail ?? 100))) yield show(source, text);
  }
  while (options.follow === true && !options.signal.aborted) {
    await sleep(pollMs, undefined, { signal: options.signal }).catch(() => {});
    for (const found of findSources(place, options.component)) {
      const source = sources.get(found.path) ?? found;
      sources.set(source.path, source);
      for (const text of readNew(source)) yield show(source, text);
    }
  }
}

/** Log files are named `<component>.<replica>.log`; the host's own is `host.log`. */
function findSources(place: StampPlace, component: string | undefined): readonly Source[] {
  let names: readonly string[];
  try {
    names = readdirSync(place.logDir).sort();
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const [, found = "", replica = ""] = /^([a-z0-9-]+)\.(\d+)\.log$/.exec(name) ?? [];
    if (found === "" || (component !== undefined && component !== found)) return [];
    return [{ component: found, replica: Number(replica), path: join(place.logDir, name), offset: 0, rest: "" }];
  });
}

/** Whole lines that were written since the last look. A file shorter than before was rotated: it starts anew. */
function readNew(source: Source): readonly string[] {
  let file: number;
  try {
    file = openSync(source.path, "r");
  } catch {
    return [];
  }
  try {
    const { size } = fstatSync(file);
    if (size < source.offset) Object.assign(source, { offset: 0, rest: "" });
    if (source.offset === 0 && size > chunkBytes) source.offset = size - chunkBytes;
    const bytes = Buffer.alloc(Math.max(0, size - source.offset));
    const count = readSync(file, bytes, 0, bytes.length, source.offset);
    source.offset += count;
    const lines = (source.rest + bytes.subarray(0, count).toString("utf8")).split("\n");
    source.rest = lines.pop() ?? "";
    return lines;
  } finally {
    closeSync(file);
  }
}

function secretsOfPlace(place: StampPlace): readonly string[] {
  const goal = readJson<Goal>(place.specFile);
  return goal === undefined ? [] : secretsOf(goal);
}
