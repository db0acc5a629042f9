import { printable } from "./output/style.ts";
import { type ExitCode, exitCode } from "./exit-codes.ts";

/** What a failure tells a reader, whichever package threw it. */
export interface FailureText {
  readonly code: string;
  readonly message: string;
  readonly mend?: string;
  readonly problems: readonly Problem[];
  /** The problems, drawn already with source lines and carets. */
  readonly drawing?: string;
}

/** One of the problems that a manifest or a request has; the shape that errors carry across packages. */
export interface Problem {
  readonly message: string;
  readonly mend?: string;
  readonly path?: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  /** The faulty line with a caret below it. */
  readonly excerpt?: string;
}

/** Ends a command with an exit code. It never leaves this process; packages throw StampyardError. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly code: string;
  readonly mend: string | undefined;
  readonly problems: readonly Problem[];
  readonly drawing: string | undefined;
  readonly exit: ExitCode;

  constructor(
    code: string,
    message: string,
    details: ErrorOptions & Partial<Omit<FailureText, "code" | "message">> & { readonly exit?: ExitCode } = {},
  ) {
    super(message, details);
    this.code = code;
    this.mend = details.mend;
    this.problems = details.problems ?? [];
    this.drawing = details.drawing;
    this.exit = details.exit ?? exitCode.error;
  }
}

/** Reads a thrown value. An error without a code is a fault of ours: its message is shown as it is. */
export function describeFailure(caught: unknown): FailureText {
  if (!(caught instanceof Error)) return { code: "INTERNAL", message: String(caught), problems: [] };
  const { code, mend, problems, drawing } = caught as { [Key in keyof FailureText]?: unknown };
  return {
    code: typeof code === "string" ? code : "INTERNAL",
    message: caught.message === "Unexpected failure" ? withCause(caught) : caught.message,
    ...(typeof mend === "string" ? { mend } : {}),
    problems: Array.isArray(problems) ? (problems as readonly Problem[]) : [],
    ...(typeof drawing === "string" ? { drawing } : {}),
  };
}

function withCause(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** For people: what was found where first, the most important line last but one, the mend last. */
export function formatFailure(failure: FailureText): string {
  const listed = isSaidOnce(failure) ? [] : failure.problems.map(formatProblem);
  const lines = failure.drawing === undefined ? listed : [`${failure.drawing.trimEnd()}\n`];
  lines.push(`error: ${printable(failure.message)} [${failure.code}]`);
  if (failure.mend !== undefined) lines.push(`  try: ${printable(failure.mend)}`);
  return `${lines.join("\n")}\n`;
}

/** The only problem, and the message says all of it already. */
function isSaidOnce({ message, mend, problems: [only, ...more] }: FailureText): boolean {
  if (only === undefined || more.length > 0 || only.file !== undefined || only.excerpt !== undefined) return false;
  return message.endsWith(only.message) && (only.mend === undefined || only.mend === mend);
}

function formatProblem(problem: Problem): string {
  const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(":");
  const path = problem.path === undefined || problem.path === "" ? "" : `${problem.path}: `;
  const lines = [`${place === "" ? "" : `${place} `}${path}${problem.message}`];
  if (problem.excerpt !== undefined) lines.push(problem.excerpt.trimEnd().replace(/^/gm, "  "));
  if (problem.mend !== undefined) lines.push(`  try: ${problem.mend}`);
  return printable(`${lines.join("\n")}\n`);
}

export function isAbort(caught: unknown): boolean {
  return (
    caught instanceof Error && (caught.name === "AbortError" || (caught as { code?: unknown }).code === "ABORT_ERR")
  );
}
