import {
  canonicalJson,
  type Json,
  type RoutingRule,
  type RoutingRules,
  routingRules,
  type Stamp,
} from "@stampyard/domain";
import { rulesAt, rulesInForce } from "../rollouts/rules-in-force.ts";
import type { RouterRecord } from "../store/port.ts";
import type { ReconcileDeps } from "./turn.ts";

/** How a request of one tenant is brought to a live router. */
export interface Carrier {
  readonly router: string;
  readonly entrance: URL;
  /** Value of the Host field. */
  readonly host: string;
  /** Before each step's path. */
  readonly prefix: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A name that no client resolves (RFC 2606 section 2), for routing by custom hostnames. */
export function verifyHostname(tenant: string): string {
  return `${tenant}.stampyard.invalid`;
}

/** One carrier per live router that says where it is entered, or why there is none. */
export async function carriersOf(
  deps: Pick<ReconcileDeps, "store">,
  tenant: string,
  { routing }: Pick<Stamp, "routing">,
): Promise<{ readonly carriers: readonly Carrier[]; readonly whyNone: string }> {
  const live = (await deps.store.routers.list()).filter((router) => router.live);
  if (live.length === 0) return { carriers: [], whyNone: "none was connected" };
  const [rules, others] = await Promise.all([rulesAt(deps.store, routing), rulesInForce(deps.store)]);
  const way = rules === undefined ? undefined : (wayIn(lastingRules(rules, others), tenant) ?? wayIn(rules, tenant));
  if (way === undefined) return { carriers: [], whyNone: "no routing rule can name its tenant" };
  const carriers = live.flatMap((router) => {
    const entrance = entranceOf(router);
    return entrance === undefined ? [] : [{ router: router.name, entrance, ...way }];
  });
  return { carriers, whyNone: `${live.map((router) => router.name).join(", ")} did not say where it is entered` };
}

/**
 * Rules of a stamp that all others have, too, and will have when every rollout is done: whoever is asked by one of them is
 * found before, during and after a change of the rules, so that a request of ours never speaks against a rule that is to go.
 * A header is none of them: we may not be one of the peers that it is believed of.
 */
export function lastingRules(rules: RoutingRules, others: readonly RoutingRules[]): RoutingRules {
  const texts = others.map(
    (other) => new Set(routingRules(other).map((rule) => canonicalJson(rule as unknown as Json))),
  );
  const lasting = routingRules(rules).filter((rule) => {
    if (rule.kind === "header") return false;
    const text = canonicalJson(rule as unknown as Json);
    return texts.every((known) => known.has(text));
  });
  return { domains: [], rules: lasting };
}

type Way = Pick<Carrier, "host" | "prefix" | "headers">;

/** By the first rule that anybody may use; a header of trusted peers is a last resort, as we may not be one of them. */
export function wayIn(routing: RoutingRules, tenant: string): Way | undefined {
  const rules = routingRules(routing);
  for (const rule of rules) {
    const way = rule.kind === "header" ? undefined : wayOf(rule, tenant);
    if (way !== undefined) return way;
  }
  const header = rules.find((rule) => rule.kind === "header");
  return header === undefined ? undefined : wayOf(header, tenant);
}

const nowhere = "stampyard.invalid";

function wayOf(rule: RoutingRule, tenant: string): Way | undefined {
  switch (rule.kind) {
    case "subdomain":
      return { host: `${tenant}.${rule.domain}`, prefix: "", headers: {} };
    case "hostname":
      return { host: verifyHostname(tenant), prefix: "", headers: {} };
    case "path":
      // The path stays as it is where the rule does not strip: the application then knows it with its prefix.
      return { host: nowhere, prefix: `${rule.prefix}/${tenant}`, headers: {} };
    case "header":
      return { host: nowhere, prefix: "", headers: { [rule.name]: tenant } };
    default:
      return undefined;
  }
}

/** A wildcard address is where it listens, not where it is reached: its feed connection came from there. */
function entranceOf({ entrance, address }: RouterRecord): URL | undefined {
  if (entrance === undefined || !URL.canParse(entrance)) return undefined;
  const url = new URL(entrance);
  if (url.hostname !== "0.0.0.0" && url.hostname !== "[::]") return url;
  if (address === undefined) return undefined;
  const host = address.replace(/^::ffff:/, "");
  url.hostname = host.includes(":") ? `[${host}]` : host;
  return url;
}
