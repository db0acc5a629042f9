import { type IncomingMessage, request } from "node:http";
import { type Endpoint, type GateProbe, type SignalResult, verifyTenantKey } from "@stampyard/domain";
import { makeRouteKey, minuteOf, routeHeader, signRoute } from "@stampyard/guard";
import type { EvidenceDeps } from "./run-evidence.ts";

type HttpProbe = Extract<GateProbe, { kind: "http" }>;

/** Asks a stamp for one path at its ingress, with the header that a router would have put there for its verification tenant. */
export async function probeByHttp(deps: EvidenceDeps, probe: HttpProbe, stamp: string): Promise<SignalResult> {
  const { name, path, status, timeoutMs } = probe;
  const answer = await atIngress(deps, stamp, { path, timeoutMs });
  if (answer.status === undefined)
    return { name, ok: answer.isStamps ? false : undefined, text: `${path}: ${answer.why}` };
  const text = `${path} answered ${answer.status}`;
  return { name, ok: answer.status === status, text: answer.status === status ? text : `${text}, not ${status}` };
}

export type HttpAnswer =
  | { readonly status: number }
  /** Whether the silence is the stamp's own, or somebody's before it. */
  | { readonly status: undefined; readonly why: string; readonly isStamps: boolean };

async function atIngress(
  { store, engine, clock }: EvidenceDeps,
  stamp: string,
  { path, timeoutMs }: { readonly path: string; readonly timeoutMs: number },
): Promise<HttpAnswer> {
  const signal = AbortSignal.timeout(timeoutMs);
  const row = (await store.stamps.read(stamp))?.value;
  const seen = row?.origin === "adopted" ? row.endpoints : (await engine.observe(stamp, signal)).endpoints;
  const endpoint = seen[0] ?? row?.endpoints[0];
  if (endpoint === undefined) return { status: undefined, why: "no endpoint of its ingress is known", isStamps: false };
  const [key] = await store.stamps.routeKeys(stamp);
  const claim = { tenant: verifyTenantKey(stamp), stamp, epoch: 1, minute: minuteOf(clock.now()) };
  const headers = key === undefined ? {} : { [routeHeader]: signRoute(claim, makeRouteKey(key.kid, key.secret)) };
  return await ask(endpoint, path, { headers, timeoutMs, isStamps: true });
}

/** @param isStamps whether a silence is the stamp's own */
export function ask(
  { host, port }: Endpoint,
  path: string,
  options: {
    readonly headers: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
    readonly isStamps: boolean;
  },
): Promise<HttpAnswer> {
  const { headers, timeoutMs, isStamps } = options;
  const late = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve) => {
    const asked = request({ host, port, path, headers, agent: false, signal: late });
    asked.on("error", (error: NodeJS.ErrnoException) => {
      const why = late.aborted ? `no answer in ${timeoutMs} ms` : (error.code ?? "the connection broke");
      resolve({ status: undefined, why, isStamps });
    });
    asked.on("response", (response: IncomingMessage) => {
      response.on("error", () => {});
      response.destroy();
      resolve({ status: response.statusCode ?? 0 });
    });
    asked.end();
  });
}
