import { createInterface } from "node:readline/promises";

export interface Sink {
  write(text: string): void;
  readonly isTTY: boolean;
  readonly columns: number;
}

/** Everything a command touches outside its own process, so that tests can stand in for the terminal. */
export interface Io {
  /** Results only. */
  readonly out: Sink;
  /** Talk: progress, hints, errors. */
  readonly err: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly fetch: typeof fetch;
  /** Aborts on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** Asks a person; undefined when there is none (stdin or stderr is not a terminal). */
  readonly ask: ((question: string) => Promise<string>) | undefined;
  /** Gives up our signal handlers: another main takes over this process. */
  readonly handOver: () => void;
}

/** The real terminal. */
export function processIo(signal: AbortSignal, handOver: () => void): Io {
  const person = process.stdin.isTTY === true && process.stderr.isTTY === true;
  return {
    out: sinkOf(process.stdout),
    err: sinkOf(process.stderr),
    env: process.env,
    cwd: process.cwd(),
    fetch: globalThis.fetch,
    signal,
    handOver,
    ask: person ? (question) => askOnTerminal(question, signal) : undefined,
  };
}

function sinkOf(stream: NodeJS.WriteStream): Sink {
  return {
    write: (text) => void stream.write(text),
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      return stream.columns ?? 80;
    },
  };
}

async function askOnTerminal(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question, { signal });
  } finally {
    lines.close();
  }
}
