import { isAlias, isMap, isScalar, isSeq, type Node, parseAllDocuments } from "yaml";
import { lineStarts, type Path, type Problem } from "./problem.ts";
import { maxFileBytes } from "./read-yaml.ts";
import { isSensitivePath } from "./sensitive.ts";

const maxWidth = 120;
const mask = "•";

/**
 * Problems for a terminal: place and message, the source line with a caret, and the mend. Values of `env`, URLs and
 * whatever is named like a secret are shown as dots (I33).
 */
export function formatProblems(problems: readonly Problem[], text: string): string {
  const excerpts = excerptsOf(problems, text);
  return problems
    .map((problem, index) => {
      const head = `${problem.file}:${problem.line}:${problem.column} ${problem.message}`;
      const excerpt = excerpts[index]?.replace(/^/gm, "  ");
      return [head, ...(excerpt === undefined ? [] : [excerpt]), `  ${problem.mend}`].join("\n");
    })
    .join("\n\n");
}

/** For each problem its source line with a caret below, or undefined where there is nothing to show. */
export function excerptsOf(problems: readonly Problem[], raw: string): readonly (string | undefined)[] {
  const text = raw.replace(/^\ufeff/, "");
  const lines = text.length > maxFileBytes ? [] : maskedLines(text);
  return problems.map((problem) => excerptOf(problem, lines[problem.line - 1] ?? ""));
}

function excerptOf(problem: Problem, line: string): string | undefined {
  if (line.trim() === "") return undefined;
  const start = Math.max(0, Math.min(problem.column - 1 - maxWidth / 2, line.length - maxWidth));
  const shown = line.slice(start, start + maxWidth);
  // Tabs stay tabs before the caret, so that it stands under its character at any tab width.
  const indent = shown.slice(0, problem.column - 1 - start).replace(/[^\t]/g, " ");
  return `${shown}\n${indent}^`;
}

function maskedLines(text: string): readonly string[] {
  const hidden = hiddenRanges(text);
  const characters = text.split("");
  for (const [start, end] of hidden) {
    for (let index = start; index < end; index++) {
      if (!/\s/.test(characters[index] ?? " ")) characters[index] = mask;
    }
  }
  // References are names, not secrets, and what the caret points at.
  for (const match of text.matchAll(/\$\{[a-z][a-z0-9-]{0,39}\.[A-Za-z][A-Za-z0-9_-]{0,39}\}/g)) {
    for (const [offset, character] of [...match[0]].entries()) characters[match.index + offset] = character;
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters must not reach a terminal.
  const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]/g;
  return characters
    .join("")
    .split("\n")
    .map((line) => line.replace(/\r$/, "").replace(controls, "?"));
}

type Range = readonly [start: number, end: number];

function hiddenRanges(text: string): readonly Range[] {
  const out: Range[] = [];
  try {
    const documents = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: false });
    for (const document of documents) collect(document.contents, [], out);
    // The tree of a broken text may miss what a reader sees; there the indentation decides.
    if (documents.some((document) => document.errors.length > 0)) return out.concat(rangesByIndentation(text));
  } catch {
    return [[0, text.length]];
  }
  return out;
}

function collect(node: unknown, path: Path, out: Range[]): void {
  if (path.length > 64) {
    const range = (node as Node | null)?.range;
    if (range) out.push([range[0], range[1]]);
  } else if (isMap(node)) {
    for (const pair of node.items)
      collect(pair.value, [...path, isScalar(pair.key) ? String(pair.key.value) : "?"], out);
  } else if (isSeq(node)) {
    for (const item of node.items) collect(item, [...path, "-"], out);
  } else if ((isScalar(node) || isAlias(node)) && node.range && isSensitivePath(path)) {
    out.push([node.range[0], node.range[1]]);
  }
}

/** A broken line longer than this is hidden whole; it also bounds what the patterns below can cost. */
const maxFieldLine = 500;

/**
 * From a sensitive key to the next line that is a field at its indentation or left of it. Tabs have no width in YAML:
 * after one, only a line without indentation ends it.
 */
function rangesByIndentation(text: string): readonly Range[] {
  const out: Range[] = [];
  const starts = lineStarts(text);
  let sensitive: { indent: number; tab: boolean } | undefined;
  for (const [index, start] of starts.entries()) {
    const end = starts[index + 1] ?? text.length;
    const line = text.slice(start, end);
    if (line.length > maxFieldLine) {
      out.push([start, end]);
      sensitive ??= { indent: 0, tab: false };
      continue;
    }
    const white = /^[\s-]*/.exec(line)?.[0] ?? "";
    const tab = white.includes("\t");
    if (sensitive !== undefined && fieldName.test(line)) {
      const left = tab || sensitive.tab ? white.length === 0 : white.length <= sensitive.indent;
      if (left) sensitive = undefined;
    }
    const keys = [...line.matchAll(/(?<![\w.-])([\w.-]+)["']?\s*:/g)];
    const key = keys.find((match) => isSensitivePath([match[1] ?? ""]));
    if (sensitive !== undefined) out.push([start + (fieldName.exec(line)?.[0].length ?? 0), end]);
    else if (key !== undefined) {
      sensitive = { indent: white.length, tab };
      out.push([start + key.index + key[0].length, end]);
    }
  }
  return out;
}

const fieldName = /^[\s-]*["']?[\w.-]+["']?\s*:(?=\s|$)/;
