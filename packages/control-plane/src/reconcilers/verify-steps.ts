import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { type Clock, type Endpoint, quote, StampyardError, type Text, type VerifyStep } from "@stampyard/domain";

/** Of an answer; more is not read. */
const mostBytes = 262_144;
/** A `Retry-After` is kept to, but never for longer at a time. */
const longestPauseMs = 1_000;

export interface StepTarget {
  /** Where to connect. */
  readonly url: URL;
  /** Value of the Host field. */
  readonly host: string;
  readonly prefix: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For people, e.g. `router eu-edge`. */
  readonly via: string;
  readonly isRouter: boolean;
}

/** What the references of a step mean. None of them can hold a character that JSON or a path would read. */
export interface StepValues {
  readonly tenant: string;
  readonly stamp: string;
  readonly region: string;
  /** New at each verification. */
  readonly id: string;
}

/** The router that was asked serves another region. */
class Elsewhere extends Error {}

export function isElsewhere(caught: unknown): boolean {
  return caught instanceof Elsewhere;
}

/** Nobody answered at all, as opposed to a wrong answer: only then is there a cause below. */
export function isUnanswered(caught: unknown): boolean {
  return caught instanceof StampyardError && caught.code === "VERIFICATION_FAILED" && caught.cause !== undefined;
}

export function urlOf({ host, port }: Endpoint): URL {
  return new URL(`http://${host.includes(":") ? `[${host}]` : host}:${port}`);
}

/** Steps in their order; the first that is not answered as declared ends it. @throws StampyardError VERIFICATION_FAILED */
export async function runSteps(
  { clock }: { readonly clock: Clock },
  steps: readonly VerifyStep[],
  target: StepTarget,
  values: StepValues,
  signal: AbortSignal,
): Promise<void> {
  for (const step of steps) {
    signal.throwIfAborted();
    const path = `${target.prefix}${textOf(step.path, values)}`;
    const what = `${step.method} ${path} through ${target.via}`;
    const until = clock.now() + step.timeoutMs;
    let answer = await ask(step, path, target, values, signal, what);
    // As every client of a tenant does: a limit of its rate, or a guard that has not heard of it yet.
    while (answer.pauseMs !== undefined && answer.status !== step.status && clock.now() < until) {
      await clock.sleep(answer.pauseMs, signal);
      answer = await ask(step, path, target, values, signal, what);
    }
    if (answer.status === 421 && target.isRouter) throw new Elsewhere(what);
    const expected =
      step.status === undefined ? answer.status >= 200 && answer.status < 300 : answer.status === step.status;
    if (!expected) {
      const wanted = step.status === undefined ? "a success" : String(step.status);
      throw failed(`${what} was answered with ${answer.status}, not ${wanted}${excerpt(answer.text)}`);
    }
    const text = step.text === undefined ? undefined : textOf(step.text, values);
    if (text !== undefined && !answer.text.includes(text)) {
      throw failed(`${what} was answered without ${quote(text)}${excerpt(answer.text)}`);
    }
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
  /** Not now: it may be asked again after so many milliseconds (RFC 9110 section 10.2.3). */
  readonly pauseMs?: number;
}

async function ask(
  step: VerifyStep,
  path: string,
  target: StepTarget,
  values: StepValues,
  signal: AbortSignal,
  what: string,
): Promise<Answer> {
  const late = AbortSignal.timeout(step.timeoutMs);
  const body = step.body === undefined ? undefined : Buffer.from(textOf(step.body, values));
  const headers = {
    ...(body === undefined ? {} : { "content-type": "application/json", "content-length": String(body.length) }),
    ...Object.fromEntries(Object.entries(step.headers).map(([name, value]) => [name, textOf(value, values)])),
    ...target.headers,
    host: target.host,
  };
  const { url } = target;
  const options = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port),
    method: step.method,
    path,
    headers,
    // Nothing is kept open: the next verification of this stamp is in another life.
    agent: false as const,
    signal: AbortSignal.any([signal, late]),
  };
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const request =
        url.protocol === "https:"
          ? // What is looked at is the stamp, with data of nobody; the certificate is for the names of real tenants.
            httpsRequest({ ...options, servername: target.host, rejectUnauthorized: false })
          : httpRequest(options);
      request.on("error", reject);
      request.on("response", (response) => void readText(response).then(resolve, reject));
      request.end(body);
    });
  } catch (caught) {
    if (signal.aborted) throw caught;
    const why = late.aborted ? `was not answered within ${step.timeoutMs} ms` : `failed: ${reasonOf(caught)}`;
    throw failed(`${what} ${why}`, caught);
  }
}

async function readText(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= mostBytes) break;
  }
  const status = response.statusCode ?? 0;
  const after = response.headers["retry-after"];
  const isPaused = (status === 429 || status === 503) && after !== undefined;
  const pauseMs = Math.min(longestPauseMs, (Number(after) || 1) * 1_000);
  return { status, text: Buffer.concat(chunks).toString("utf8"), ...(isPaused ? { pauseMs } : {}) };
}

function textOf(text: Text, values: StepValues): string {
  return text.map((part) => (typeof part === "string" ? part : meaningOf(`${part.of}.${part.field}`, values))).join("");
}

function meaningOf(reference: string, values: StepValues): string {
  const known: Readonly<Record<string, string>> = {
    "tenant.key": values.tenant,
    "stamp.name": values.stamp,
    "stamp.region": values.region,
    "verify.id": values.id,
  };
  return known[reference] ?? "";
}

/** The beginning of an answer, for the reason. */
function excerpt(text: string): string {
  const line = text.trim().slice(0, 60);
  return line === "" ? "" : `: ${quote(line)}`;
}

function reasonOf(caught: unknown): string {
  if (caught instanceof AggregateError) return reasonOf(caught.errors[0]);
  return caught instanceof Error ? caught.message : String(caught);
}

function failed(message: string, cause?: unknown): StampyardError {
  return new StampyardError("VERIFICATION_FAILED", message, {
    mend: "Mend the release or its verify steps; it is tried again by itself.",
    ...(cause === undefined ? {} : { cause }),
  });
}
