import { StampyardError } from "@stampyard/domain";
import type { z } from "zod";
import type { AnyInput, CallInput, Client, ItemOf, PagedName } from "./client-types.ts";
import type { Endpoint } from "./endpoint.ts";
import { endpointNames, endpoints } from "./endpoints.ts";
import { errorOf } from "./problem.ts";
import { linesOf, serverSentEventsOf } from "./streams.ts";

export interface ClientOptions {
  /** E.g. `http://127.0.0.1:4300`. */
  readonly url: string;
  /** Sent as `Authorization: Bearer`; never in an error or a URL. */
  readonly token?: string;
  readonly fetch?: typeof fetch;
  /** Attempts of a call that may be repeated safely when no connection comes about. @default 3 */
  readonly attempts?: number;
}

/** Waits between attempts, in milliseconds; the last one repeats. */
const backoffMs = [100, 300, 1_000] as const;

/**
 * A method per endpoint of the table, with its types. Every failure is a StampyardError: the server's own code, mend and
 * problems, or CONTROL_PLANE_UNREACHABLE for what never came to it.
 */
export function createClient(options: ClientOptions): Client {
  const call = (name: keyof typeof endpoints, input: AnyInput = {}) => callEndpoint(options, endpoints[name], input);
  const methods = Object.fromEntries(endpointNames.map((name) => [name, (input?: AnyInput) => call(name, input)]));
  async function* pages<Name extends PagedName>(name: Name, input?: CallInput<Name>) {
    const first = (input ?? {}) as AnyInput;
    let cursor = first.query?.["cursor"];
    do {
      const query = { ...first.query, ...(cursor === undefined ? {} : { cursor }) };
      const page = (await call(name, { ...first, query })) as { items: ItemOf<Name>[]; nextCursor?: string };
      yield page.items;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }
  async function all<Name extends PagedName>(name: Name, input?: CallInput<Name>) {
    const items: ItemOf<Name>[] = [];
    for await (const page of pages(name, input)) items.push(...page);
    return items;
  }
  return { ...methods, pages, all } as unknown as Client;
}

async function callEndpoint(options: ClientOptions, endpoint: Endpoint, input: AnyInput): Promise<unknown> {
  const url = urlOf(options.url, endpoint, input);
  const idempotencyKey = endpoint.idempotencyKey ? (input.idempotencyKey ?? crypto.randomUUID()) : undefined;
  const request: RequestInit = {
    method: endpoint.method,
    headers: {
      accept: "application/json, application/problem+json, */*",
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...(endpoint.body === undefined ? {} : { "content-type": "application/json" }),
      ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
      ...(input.ifMatch === undefined ? {} : { "if-match": `"${input.ifMatch}"` }),
    },
    redirect: "error",
    ...(endpoint.body === undefined ? {} : { body: JSON.stringify(input.body ?? {}) }),
    ...(input.signal === undefined ? {} : { signal: input.signal }),
  };
  const repeatable = endpoint.method === "GET" || idempotencyKey !== undefined;
  const response = await fetchSome(options, url, request, repeatable ? (options.attempts ?? 3) : 1);
  if (!response.ok) throw await errorOf(response);
  return read(endpoint, response);
}

/** Tries again only when no answer came; an answer, whatever it says, is the server's word. */
async function fetchSome(options: ClientOptions, url: URL, request: RequestInit, attempts: number): Promise<Response> {
  const doFetch = options.fetch ?? fetch;
  for (let attempt = 1; ; attempt++) {
    try {
      return await doFetch(url, request);
    } catch (caught) {
      if (request.signal?.aborted) throw new StampyardError("CANCELLED", "The call was cancelled", { cause: caught });
      if (attempt >= attempts) {
        throw new StampyardError("CONTROL_PLANE_UNREACHABLE", `Cannot reach the control plane at ${url.origin}`, {
          cause: caught,
          mend: "Check the address, and that the control plane runs (stampyard up, or stampyard server).",
        });
      }
      await pause(backoffMs[Math.min(attempt, backoffMs.length) - 1] ?? 1_000, request.signal ?? undefined);
    }
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

function urlOf(base: string, endpoint: Endpoint, input: AnyInput): URL {
  const path = endpoint.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(input.params?.[name] ?? "");
    // A URL parser eats `.` and `..`, even encoded, and an empty segment names another endpoint.
    if (value === "" || value === "." || value === "..") {
      throw new StampyardError("INVALID_REQUEST", `Invalid ${name} in ${endpoint.path}`);
    }
    return encodeURIComponent(value);
  });
  const url = new URL(base.replace(/\/+$/, "") + path);
  for (const [name, value] of Object.entries(input.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url;
}

async function read(endpoint: Endpoint, response: Response): Promise<unknown> {
  switch (endpoint.answers) {
    case "json":
      return parse(endpoint, await response.json().catch(() => undefined));
    case "none":
      await response.body?.cancel();
      return undefined;
    case "lines":
      return linesOf(bodyOf(response));
    case "events":
      return parsed(endpoint, serverSentEventsOf(bodyOf(response)));
    case "frames":
    case "file":
      return bodyOf(response);
  }
}

async function* parsed(endpoint: Endpoint, texts: AsyncIterable<string>): AsyncGenerator<unknown> {
  for await (const text of texts) {
    const result = (endpoint.response as z.ZodType).safeParse(JSON.parse(text));
    // A newer control plane may say what this client has no word for.
    if (result.success) yield result.data;
  }
}

function parse(endpoint: Endpoint, value: unknown): unknown {
  const result = (endpoint.response as z.ZodType).safeParse(value);
  if (result.success) return result.data;
  const where = result.error.issues[0]?.path.join(".") ?? "";
  throw new StampyardError(
    "UNEXPECTED_ANSWER",
    `Unexpected answer of ${endpoint.method} ${endpoint.path} at ${where || "its root"}`,
    {
      mend: "Use a client and a control plane of one version, and check that the address is a control plane's.",
    },
  );
}

function bodyOf(response: Response): ReadableStream<Uint8Array> {
  return response.body ?? new ReadableStream({ start: (controller) => controller.close() });
}
