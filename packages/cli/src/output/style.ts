import type { Io, Sink } from "../io.ts";

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
}

const plain: Style = { bold: same, dim: same, good: same, bad: same, warn: same };
const coloured: Style = {
  bold: (text) => `\u001b[1m${text}\u001b[22m`,
  dim: (text) => `\u001b[2m${text}\u001b[22m`,
  good: (text) => `\u001b[32m${text}\u001b[39m`,
  bad: (text) => `\u001b[31m${text}\u001b[39m`,
  warn: (text) => `\u001b[33m${text}\u001b[39m`,
};

/** Colour only on a terminal that wants it. NO_COLOR (any value but empty) wins over FORCE_COLOR. */
export function styleFor(sink: Sink, env: Io["env"]): Style {
  if ((env["NO_COLOR"] ?? "") !== "") return plain;
  if ((env["FORCE_COLOR"] ?? "") !== "" && env["FORCE_COLOR"] !== "0") return coloured;
  return sink.isTTY && env["TERM"] !== "dumb" ? coloured : plain;
}

export const plainStyle: Style = plain;

function same(text: string): string {
  return text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is looked for
const escapes = /\u001b\[[0-9;]*m/g;

/** Columns a text takes on a terminal. Names here are ASCII, so one code point is one column. */
export function widthOf(text: string): number {
  return [...text.replace(escapes, "")].length;
}

/** Server text may hold anything; control characters must not reach a terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}
