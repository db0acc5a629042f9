import type { GateQuery, SignalResult } from "@stampyard/domain";
import type { Asking } from "./ask-probes.ts";
import { askRepeatedly } from "./ask-repeatedly.ts";
import type { EvidenceDeps } from "./run-evidence.ts";

const answerWithinMs = 10_000;
const mostBytes = 65_536;

/** What the queries of the gate said last of one updated member. */
export function askQueries(deps: EvidenceDeps, { memory, rollout, member, now }: Asking): readonly SignalResult[] {
  return rollout.strategy.gate.queries.map((query) => {
    const key = `${rollout.id} ${member.stamp} query/${query.name}`;
    return askRepeatedly(memory, deps.clock, { key, name: query.name, now, ask: () => askQuery(query, member.stamp) });
  });
}

/** An instant query of the Prometheus HTTP API. No data, several numbers and no answer are all no verdict. */
export async function askQuery(query: GateQuery, stamp: string): Promise<SignalResult> {
  const { name, atMost, atLeast } = query;
  try {
    const value = await readValue(query, stamp);
    if (typeof value === "string") return { name, ok: undefined, text: value };
    const isLow = atLeast !== undefined && value < atLeast;
    const isHigh = atMost !== undefined && value > atMost;
    const bound = isLow ? `, less than ${atLeast}` : isHigh ? `, more than ${atMost}` : "";
    return { name, ok: !isLow && !isHigh, text: `it is ${value}${bound}` };
  } catch (caught) {
    // A message of fetch may quote the URL, and with it what is secret there.
    const cause = caught instanceof Error ? caught.cause : undefined;
    const code = cause instanceof Error && "code" in cause ? `: ${String(cause.code)}` : "";
    return { name, ok: undefined, text: `could not be asked${code}` };
  }
}

interface PrometheusAnswer {
  readonly status?: unknown;
  readonly error?: unknown;
  readonly data?: { readonly resultType?: unknown; readonly result?: unknown };
}

/** Words = why there is no number. */
async function readValue({ url, query }: GateQuery, stamp: string): Promise<number | string> {
  const base = new URL(url);
  // Some are below a path, and some are given with the API's own.
  const path = base.pathname.replace(/\/+$/, "").replace(/\/api\/v1(?:\/query)?$/, "");
  const asked = new URL(`${path}/api/v1/query`, base);
  const { username, password } = base;
  const authorization = username === "" ? {} : { authorization: basic(username, password) };
  const response = await fetch(asked, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", ...authorization },
    // Names of stamps hold no quote and no backslash, so one cannot become more than a label's value.
    body: new URLSearchParams({ query: query.replaceAll("${stamp}", stamp) }),
    redirect: "error",
    signal: AbortSignal.timeout(answerWithinMs),
  });
  const text = (await response.text()).slice(0, mostBytes);
  if (!response.ok) return `answered ${response.status}`;
  const answer = JSON.parse(text) as PrometheusAnswer;
  if (answer.status !== "success") return "answered without success";
  return numberOf(answer.data?.resultType, answer.data?.result);
}

function numberOf(type: unknown, result: unknown): number | string {
  if (type === "scalar" && Array.isArray(result)) return finite(result[1]);
  if (type !== "vector" || !Array.isArray(result)) return `answered with a ${String(type)}, not one number`;
  if (result.length === 0) return "no data";
  if (result.length > 1) return `answered ${result.length} numbers, not one`;
  const [only] = result as readonly { readonly value?: readonly unknown[] }[];
  return finite(only?.value?.[1]);
}

/** NaN is what a ratio of nothing to nothing gives: no data. */
function finite(value: unknown): number | string {
  const number = Number(value);
  return typeof value === "string" && value !== "" && Number.isFinite(number) ? number : "no number";
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64")}`;
}
