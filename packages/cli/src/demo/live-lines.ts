import { plainStyle, type Style } from "../output/style.ts";

/** Counts since the start, at one moment. */
export interface LiveSample {
  readonly atMs: number;
  readonly perStamp: readonly {
    readonly stamp: string;
    readonly tenants: number;
    readonly requests: number;
    readonly errors: number;
  }[];
}

/** One line per stamp: what it served since the last look, and in all. */
export function liveLines(before: LiveSample, now: LiveSample, style: Style = plainStyle): readonly string[] {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000);
  const width = Math.max(0, ...now.perStamp.map((row) => row.stamp.length));
  return now.perStamp.map((row) => {
    const old = before.perStamp.find((candidate) => candidate.stamp === row.stamp);
    const rate = Math.round((row.requests - (old?.requests ?? 0)) / seconds);
    const fresh = row.errors - (old?.errors ?? 0);
    const errors = `${String(row.errors).padStart(5)} errors`;
    const painted =
      fresh > 0 ? style.bad(`${errors} (+${fresh})`) : row.errors > 0 ? style.warn(errors) : style.good(errors);
    const tenants = `${row.tenants} ${row.tenants === 1 ? "tenant " : "tenants"}`;
    return `  ${row.stamp.padEnd(width)}  ${tenants}  ${String(rate).padStart(4)} requests/s  ${String(row.requests).padStart(6)} requests  ${painted}`;
  });
}

/** Lines of at most `columns`, broken between words; a longer word, such as a URL, stays whole. */
export function wrapWords(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(/(?<=\S)(?= +\S)/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length <= columns) lines[lines.length - 1] = last + word;
    else lines.push(last === undefined ? word : word.trimStart());
  }
  return lines;
}
