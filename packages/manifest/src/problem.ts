import { quote } from "@stampyard/domain";

/** Where something stands in a file: field names and 0-based list positions from the root. */
export type Path = readonly (string | number)[];

/** One thing wrong in a file. Never holds a value of `env`, a secret or a URL: only names. */
export interface Problem {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 code units, as editors count. */
  readonly column: number;
  /** E.g. `components.api.replicas`; empty for the whole file. */
  readonly path: string;
  /** Sentence case, no full stop, names the thing. */
  readonly message: string;
  /** What to do about it: one imperative sentence. */
  readonly mend: string;
}

/** A problem before its offset is counted into line and column. */
export interface Finding {
  readonly offset: number;
  readonly path: Path;
  readonly message: string;
  readonly mend: string;
}

/** Nobody mends more than this in one go, and a hostile file must not print megabytes. */
const maxProblems = 100;

/** Findings in file order, each said once, with line and column. */
export function problemsOf(file: string, text: string, findings: readonly Finding[]): readonly Problem[] {
  const starts = lineStarts(text);
  const seen = new Set<string>();
  const problems: Problem[] = [];
  for (const finding of [...findings].sort((a, b) => a.offset - b.offset)) {
    const key = `${finding.offset} ${finding.message}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const { line, column } = positionOf(starts, Math.min(finding.offset, text.length));
    const { message, mend } = finding;
    problems.push({ file, line, column, path: pathText(finding.path), message, mend });
  }
  if (problems.length <= maxProblems) return problems;
  const last = problems[maxProblems - 1] as Problem;
  const more = problems.length - maxProblems + 1;
  return [
    ...problems.slice(0, maxProblems - 1),
    { ...last, message: `${more} more problems follow`, mend: "Mend the ones above first." },
  ];
}

export function pathText(path: Path): string {
  let out = "";
  for (const part of path) {
    if (typeof part === "number") out += `[${part}]`;
    else if (/^[A-Za-z0-9_.-]{1,80}$/.test(part)) out += out === "" ? part : `.${part}`;
    else out += `[${quote(part)}]`;
  }
  return out;
}

export function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function positionOf(starts: readonly number[], offset: number): { line: number; column: number } {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
}
