import type { Reference, Text, TextPart } from "@stampyard/domain";

export type TextScan =
  | { readonly kind: "text"; readonly parts: Text; readonly references: readonly Reference[] }
  /** `${` that opens no reference; `index` counts in the value. */
  | { readonly kind: "malformed"; readonly index: number };

/** Splits at `${of.field}`; `$${` is a literal `${`, and a lone `$` is itself. */
export function parseText(source: string): TextScan {
  const pattern = /\$\$\{|\$\{(?:([a-z][a-z0-9-]{0,39})\.([A-Za-z][A-Za-z0-9_-]{0,39})\})?/g;
  const parts: TextPart[] = [];
  const references: Reference[] = [];
  let end = 0;
  for (const match of source.matchAll(pattern)) {
    const [whole, of, field] = match;
    parts.push(source.slice(end, match.index));
    end = match.index + whole.length;
    if (whole === "$${") parts.push("${");
    else if (of === undefined || field === undefined) return { kind: "malformed", index: match.index };
    else {
      references.push({ of, field });
      parts.push({ of, field });
    }
  }
  parts.push(source.slice(end));
  return { kind: "text", parts: joinText(parts), references };
}

/** One form for one text: neighbouring strings joined, empty ones left out. */
export function joinText(parts: readonly TextPart[]): Text {
  const out: TextPart[] = [];
  for (const part of parts) {
    const last = out.at(-1);
    if (typeof part === "string" && typeof last === "string") out[out.length - 1] = last + part;
    else if (part !== "") out.push(part);
  }
  return out;
}

export type CommandLine =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "fault"; readonly message: string; readonly mend: string };

const listMend = 'Write a list of words, such as ["sh", "-c", "first && second"].';

/** Splits a command line at white space; quotes keep words together. There is no shell, so its signs are refused. */
export function splitCommand(line: string): CommandLine {
  const words: string[] = [];
  const pattern = /\s+|((?:[^\s"']+|"[^"]*"|'[^']*')+)|["']/g;
  for (const [whole, word] of line.matchAll(pattern)) {
    if (word !== undefined) {
      if (/^(?:\||\|\||&|&&|;|[0-9]?>{1,2}|<|[0-9]?>&[0-9])$|^[^"']*;$/.test(word)) {
        return { kind: "fault", message: "Command uses a shell sign, but no shell runs it", mend: listMend };
      }
      words.push(word.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ""));
    } else if (/^["']$/.test(whole)) {
      return {
        kind: "fault",
        message: "Command has an open quote",
        mend: "Close the quote, or write a list of words.",
      };
    }
  }
  if ((words[0] ?? "") === "") return { kind: "fault", message: "Command is empty", mend: "Name a program first." };
  return { kind: "words", words };
}
