import { type GateProbe, type SignalResult, verifyTenantKey } from "@stampyard/domain";
import { makeRouteKey, minuteOf, routeHeader, signRoute } from "@stampyard/guard";
import { askHttp } from "./ask-http.ts";
import { type EvidenceMemory, memoryOf } from "./evidence-memory.ts";
import type { EvidenceDeps } from "./run-evidence.ts";
import { askAsTenant } from "./verify-tenant.ts";

type HttpProbe = Extract<GateProbe, { kind: "http" }>;

/**
 * Asks a stamp for one path as its own verification tenant through a router; where that cannot be, at its ingress, with
 * the header that a router would have put there.
 */
export async function probeByHttp(deps: EvidenceDeps, probe: HttpProbe, stamp: string): Promise<SignalResult> {
  const { name, path, status } = probe;
  const memory = memoryOf(deps.store);
  if (isMissing(memory, stamp)) return { name, ok: undefined, text: "its verification tenant is being prepared" };
  const carried = await askAsTenant(memory, stamp, probe);
  // A router that does not answer says nothing of the stamp.
  if (carried !== undefined && carried.status === undefined) {
    return { name, ok: undefined, text: `${path} through a router: ${carried.why}` };
  }
  // Routers count it, as they count whatever comes in.
  if (carried !== undefined) memory.counter.noteSynthetic(stamp, deps.clock.now());
  const answer = carried ?? (await atIngress(deps, probe, stamp));
  if (answer === undefined) return { name, ok: undefined, text: "no endpoint of its ingress is known" };
  if (answer.status === undefined) return { name, ok: false, text: `${path}: ${answer.why}` };
  const ok = answer.status === status;
  return { name, ok, text: `${path} answered ${answer.status}${ok ? "" : `, not ${status}`}` };
}

/** Asked at its ingress until it is there, the same probe would mean two things. */
function isMissing({ presences }: EvidenceMemory, stamp: string): boolean {
  const kind = presences.get(stamp)?.kind;
  return kind !== "open" && kind !== "impossible";
}

async function atIngress({ store, engine, clock }: EvidenceDeps, probe: HttpProbe, stamp: string) {
  const { path, timeoutMs } = probe;
  const row = (await store.stamps.read(stamp))?.value;
  const isOurs = row?.origin !== "adopted";
  const seen = isOurs ? (await engine.observe(stamp, AbortSignal.timeout(timeoutMs))).endpoints : [];
  const endpoint = seen[0] ?? row?.endpoints[0];
  if (endpoint === undefined) return undefined;
  const [key] = await store.stamps.routeKeys(stamp);
  const claim = { tenant: verifyTenantKey(stamp), stamp, epoch: 1, minute: minuteOf(clock.now()) };
  const headers = key === undefined ? {} : { [routeHeader]: signRoute(claim, makeRouteKey(key.kid, key.secret)) };
  const { host, port } = endpoint;
  const url = new URL(`http://${host.includes(":") ? `[${host}]` : host}:${port}`);
  return await askHttp(url, path, { headers, timeoutMs });
}
