import type { ExitCode } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { runProgram } from "./program.ts";

export interface StubRequest {
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly headers: Headers;
}

export interface StubAnswer {
  readonly status?: number;
  readonly json?: unknown;
  readonly text?: string;
}

/** `GET /v1/stamps` → answer. What is not in it is answered with 404. */
export type StubApi = Readonly<Record<string, StubAnswer | ((request: StubRequest) => StubAnswer)>>;

/** An API behind the client's fetch port: the real client, schemas and errors, without a socket. */
export function stubFetch(api: StubApi, calls: string[] = []): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const name = `${request.method} ${url.pathname}`;
    calls.push(name);
    const text = request.method === "GET" ? "" : await request.text();
    const entry = api[name] ?? { status: 404, json: problem(404, "NOT_FOUND", `Nothing at ${name}`) };
    const body = text === "" ? undefined : (JSON.parse(text) as unknown);
    const answer =
      typeof entry === "function" ? entry({ query: url.searchParams, body, headers: request.headers }) : entry;
    const content = answer.text ?? (answer.json === undefined ? null : JSON.stringify(answer.json));
    const type = answer.text === undefined ? "application/json" : "text/plain";
    return new Response(content, { status: answer.status ?? 200, headers: { "content-type": type } });
  };
}

export function problem(status: number, code: string, detail: string, more: object = {}): object {
  return { type: "about:blank", title: code, status, code, detail, ...more };
}

export interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

/** Runs one command line in this process. */
export async function runLine(argv: readonly string[], given: Partial<Io> = {}): Promise<Ran> {
  let out = "";
  let err = "";
  const io: Io = {
    out: sink((text) => {
      out += text;
    }),
    err: sink((text) => {
      err += text;
    }),
    env: {},
    cwd: "/",
    fetch: () => Promise.reject(new TypeError("no network here")),
    signal: new AbortController().signal,
    ask: undefined,
    handOver: () => undefined,
    ...given,
  };
  const code = await runProgram(argv, io);
  return { code, out, err };
}

function sink(write: (text: string) => void): Io["out"] {
  return { write, isTTY: false, columns: 100 };
}
