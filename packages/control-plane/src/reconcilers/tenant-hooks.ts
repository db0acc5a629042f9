import { type Clock, type Endpoint, quote, StampyardError, type StampEngine, type TenantHook } from "@stampyard/domain";
import { hookHeader, makeRouteKey, minuteOf, routeHeader, signRoute } from "@stampyard/guard";
import type { Store } from "../store/port.ts";
import type { HookCall, TenantHooks } from "./turn.ts";

export interface TenantHookDeps {
  readonly store: Pick<Store, "stamps">;
  readonly engine: Pick<StampEngine, "run" | "observe">;
  readonly clock: Pick<Clock, "now">;
}

/** Calls `tenant.onCreate` and `tenant.onDelete`: an HTTP request signed as a router would sign it, or a job. */
export function createTenantHooks(deps: TenantHookDeps): TenantHooks {
  return {
    async call(call, turn) {
      const { onCreate, onDelete } = call.spec.rendered.hooks;
      const hook = call.hook === "tenant.onCreate" ? onCreate : onDelete;
      if (hook === undefined) return;
      const late = AbortSignal.timeout(hook.timeoutMs);
      const signal = AbortSignal.any([turn.signal, late]);
      try {
        if (hook.kind === "http") await post(deps, call, hook, signal);
        else await deps.engine.run(call.spec, hook.job, environmentOf(call), { token: turn.token, signal });
      } catch (caught) {
        if (turn.signal.aborted) throw caught;
        throw late.aborted ? failed(call, `did not answer within ${hook.timeoutMs} ms`, caught) : wrap(call, caught);
      }
    },
  };
}

function environmentOf({ tenant, epoch, hook }: HookCall): Readonly<Record<string, string>> {
  return { TENANT: tenant, TENANT_EPOCH: String(epoch), STAMPYARD_HOOK: hook };
}

async function post(
  deps: TenantHookDeps,
  call: HookCall,
  hook: Extract<TenantHook, { kind: "http" }>,
  signal: AbortSignal,
): Promise<void> {
  const { stamp, spec, tenant, epoch } = call;
  if (hook.service !== spec.rendered.ingress.service) {
    throw failed(call, `names service ${hook.service}, and only the ingress ${spec.rendered.ingress.service} is known`);
  }
  const [key] = await deps.store.stamps.routeKeys(stamp.name);
  if (key === undefined) throw failed(call, "cannot be signed: the stamp has no route key");
  const claim = { tenant, stamp: stamp.name, epoch, minute: minuteOf(deps.clock.now()) };
  const response = await fetch(urlOf(await endpointOf(deps, call, signal), hook.path), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      [routeHeader]: signRoute(claim, makeRouteKey(key.kid, key.secret)),
      [hookHeader]: call.hook,
    },
    body: JSON.stringify({ tenant, stamp: stamp.name, epoch }),
    redirect: "error",
    signal,
  });
  const answer = await boundedText(response);
  if (!response.ok) throw failed(call, `answered ${response.status}${answer === "" ? "" : ` ${quote(answer)}`}`);
}

/** The present endpoint, not the published one: the stamp may just have moved to another port. */
async function endpointOf(deps: TenantHookDeps, call: HookCall, signal: AbortSignal): Promise<Endpoint> {
  const { endpoints } = await deps.engine.observe(call.stamp.name, signal);
  const endpoint = endpoints[0] ?? call.stamp.endpoints[0];
  if (endpoint === undefined) throw failed(call, "cannot be called: no endpoint of the ingress is known");
  return endpoint;
}

function urlOf({ host, port }: Endpoint, path: string): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}${path}`;
}

/** The beginning of an answer, for the reason; the rest is not read. */
async function boundedText(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const first = await reader?.read();
  await reader?.cancel();
  return new TextDecoder().decode(first?.value?.subarray(0, 200)).trim();
}

function wrap(call: HookCall, caught: unknown): StampyardError {
  if (caught instanceof StampyardError) return caught;
  const cause = caught instanceof Error ? (caught.cause ?? caught) : caught;
  return failed(call, `could not be called: ${cause instanceof Error ? cause.message : String(cause)}`, caught);
}

function failed({ hook, stamp, tenant }: HookCall, what: string, cause?: unknown): StampyardError {
  return new StampyardError("HOOK_FAILED", `Hook ${hook} of stamp ${stamp.name} for tenant ${tenant} ${what}`, {
    mend: "Mend the hook; it is called again by itself.",
    ...(cause === undefined ? {} : { cause }),
  });
}
