import {
  type Clock,
  type Endpoint,
  quote,
  StampyardError,
  type StampEngine,
  type TenantHook,
  type TenantHookSet,
} from "@stampyard/domain";
import { hookHeader, makeRouteKey, minuteOf, routeHeader, signRoute } from "@stampyard/guard";
import type { Store } from "../store/port.ts";
import type { HookCall, TenantHookName, TenantHooks } from "./turn.ts";

export interface TenantHookDeps {
  readonly store: Pick<Store, "stamps">;
  readonly engine: Pick<StampEngine, "run" | "observe">;
  readonly clock: Pick<Clock, "now">;
}

const declared = {
  "tenant.onCreate": "onCreate",
  "tenant.onDelete": "onDelete",
  "tenant.onDrain": "onDrain",
  "tenant.onExport": "onExport",
  "tenant.onImport": "onImport",
  "tenant.onRebuild": "onRebuild",
} as const satisfies Record<TenantHookName, keyof TenantHookSet>;

/** What an answer may hold: an export is a list of where things are, not the things. Bytes. */
const mostAnswer = 65_536;

/** The hook of this name that the stamp's template declares. */
export function hookOf(spec: HookCall["spec"], name: TenantHookName): TenantHook | undefined {
  return spec.rendered.hooks[declared[name]];
}

/** Calls the hooks of tenants: an HTTP request signed as a router would sign it, or a job. */
export function createTenantHooks(deps: TenantHookDeps): TenantHooks {
  return {
    async call(call, turn) {
      const hook = hookOf(call.spec, call.hook);
      if (hook === undefined) return undefined;
      const withinMs = Math.max(1, Math.ceil(Math.min(hook.timeoutMs, call.withinMs ?? hook.timeoutMs)));
      const late = AbortSignal.timeout(withinMs);
      const signal = AbortSignal.any([turn.signal, late]);
      try {
        if (hook.kind === "http") return await post(deps, call, hook, signal);
        await deps.engine.run(call.spec, hook.job, environmentOf(call), { token: turn.token, signal });
        return "";
      } catch (caught) {
        if (turn.signal.aborted) throw caught;
        throw late.aborted ? failed(call, `did not answer within ${withinMs} ms`, caught) : wrap(call, caught);
      }
    },
  };
}

function environmentOf({ tenant, epoch, hook, input }: HookCall): Readonly<Record<string, string>> {
  const given = input === undefined ? {} : { STAMPYARD_HOOK_INPUT: JSON.stringify(input) };
  return { TENANT: tenant, TENANT_EPOCH: String(epoch), STAMPYARD_HOOK: hook, ...given };
}

async function post(
  deps: TenantHookDeps,
  call: HookCall,
  hook: Extract<TenantHook, { kind: "http" }>,
  signal: AbortSignal,
): Promise<string> {
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
    body: JSON.stringify({ ...call.input, tenant, stamp: stamp.name, epoch }),
    redirect: "error",
    signal,
  });
  const answer = await boundedText(response);
  if (answer === undefined) throw failed(call, `answered more than ${mostAnswer} bytes`);
  const beginning = answer.slice(0, 200).trim();
  if (!response.ok) throw failed(call, `answered ${response.status}${beginning === "" ? "" : ` ${quote(beginning)}`}`);
  return answer;
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

/** Undefined when it is too long; the rest is not read then. A refusal may be as long as it likes. */
async function boundedText(response: Response): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    parts.push(part);
    size += part.length;
    if (size > mostAnswer) return response.ok ? undefined : new TextDecoder().decode(Buffer.concat(parts));
  }
  return new TextDecoder().decode(Buffer.concat(parts));
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
