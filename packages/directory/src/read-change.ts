import { type Endpoint, isHostname, isName, isTenantKey, type Routing } from "@stampyard/domain";
import type { DirectoryChange } from "./change.ts";

/** What arrived is either of the exact form, or it is refused with the place that is wrong. Nothing is repaired (I14). */
export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

/** Thrown and caught inside this package only: validators stay readable, callers get a value. */
export class Unreadable extends Error {}

export type Fields = Readonly<Record<string, unknown>>;

const maxHostnames = 1_000;
const maxEndpoints = 1_000;
const maxRoutingEntries = 100;
const hostText = /^[A-Za-z0-9.:_-]{1,253}$/;
const regionText = /^[A-Za-z0-9._-]{1,100}$/;
const domainText = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const prefixText = /^(?=.{1,128}$)(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/;
const headerNameText = /^(?!stampyard-)[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
const peerText = /^[0-9A-Fa-f.:]{2,45}(?:\/[0-9]{1,3})?$/;

/** Reads one change as it came from JSON. */
export function readChange(value: unknown): Reading<DirectoryChange> {
  return reading(() => changeOf(value, "change"));
}

export function reading<T>(read: () => T): Reading<T> {
  try {
    return { ok: true, value: read() };
  } catch (caught) {
    if (caught instanceof Unreadable) return { ok: false, problem: caught.message };
    throw caught;
  }
}

export function changeOf(value: unknown, at: string): DirectoryChange {
  const kind = isRecord(value) ? value["kind"] : undefined;
  switch (kind) {
    case "stamp-put":
      return stampPut(value, at);
    case "stamp-remove": {
      const fields = recordOf(value, ["kind", "stamp"], at);
      return { kind, stamp: nameOf(fields["stamp"], `${at}.stamp`) };
    }
    case "tenant-put":
      return tenantPut(value, at);
    case "tenant-remove": {
      const fields = recordOf(value, ["kind", "tenant"], at);
      return { kind, tenant: tenantOf(fields["tenant"], `${at}.tenant`) };
    }
    case "routing-put": {
      const fields = recordOf(value, ["kind", "routing"], at);
      return { kind, routing: routingOf(fields["routing"], `${at}.routing`) };
    }
    default:
      throw new Unreadable(`${at}.kind is not a kind of change`);
  }
}

function stampPut(value: unknown, at: string): DirectoryChange {
  const fields = recordOf(value, ["kind", "stamp", "pool", "region", "endpoints", "endpointRevision"], at);
  const endpoints = arrayOf(fields["endpoints"], maxEndpoints, `${at}.endpoints`);
  return {
    kind: "stamp-put",
    stamp: nameOf(fields["stamp"], `${at}.stamp`),
    pool: nameOf(fields["pool"], `${at}.pool`),
    region: textOf(fields["region"], regionText, `${at}.region`),
    endpoints: endpoints.map((endpoint, index) => endpointOf(endpoint, `${at}.endpoints[${index}]`)),
    endpointRevision: integerOf(fields["endpointRevision"], 0, `${at}.endpointRevision`),
  };
}

function tenantPut(value: unknown, at: string): DirectoryChange {
  const fields = recordOf(value, ["kind", "tenant", "stamp", "epoch", "hostnames"], at);
  const hostnames = arrayOf(fields["hostnames"], maxHostnames, `${at}.hostnames`).map((hostname) => {
    if (typeof hostname === "string" && isHostname(hostname)) return hostname;
    throw new Unreadable(`${at}.hostnames holds something that is no hostname`);
  });
  if (new Set(hostnames).size !== hostnames.length) throw new Unreadable(`${at}.hostnames holds a hostname twice`);
  return {
    kind: "tenant-put",
    tenant: tenantOf(fields["tenant"], `${at}.tenant`),
    stamp: nameOf(fields["stamp"], `${at}.stamp`),
    epoch: integerOf(fields["epoch"], 1, `${at}.epoch`),
    hostnames,
  };
}

function endpointOf(value: unknown, at: string): Endpoint {
  const fields = recordOf(value, ["host", "port"], at);
  const port = integerOf(fields["port"], 1, `${at}.port`);
  if (port > 65_535) throw new Unreadable(`${at}.port is above 65535`);
  return { host: textOf(fields["host"], hostText, `${at}.host`), port };
}

function routingOf(value: unknown, at: string): Routing {
  const fields = recordOf(value, ["domains"], at, ["path", "header"]);
  const domains = arrayOf(fields["domains"], maxRoutingEntries, `${at}.domains`);
  return {
    domains: domains.map((domain, index) => textOf(domain, domainText, `${at}.domains[${index}]`)),
    ...(fields["path"] === undefined ? {} : { path: pathRuleOf(fields["path"], `${at}.path`) }),
    ...(fields["header"] === undefined ? {} : { header: headerRuleOf(fields["header"], `${at}.header`) }),
  };
}

function pathRuleOf(value: unknown, at: string): NonNullable<Routing["path"]> {
  const fields = recordOf(value, ["prefix", "strip"], at);
  if (typeof fields["strip"] !== "boolean") throw new Unreadable(`${at}.strip is not true or false`);
  return { prefix: textOf(fields["prefix"], prefixText, `${at}.prefix`), strip: fields["strip"] };
}

function headerRuleOf(value: unknown, at: string): NonNullable<Routing["header"]> {
  const fields = recordOf(value, ["name", "trustedPeers"], at);
  const name = typeof fields["name"] === "string" ? fields["name"].toLowerCase() : fields["name"];
  textOf(name, headerNameText, `${at}.name`);
  const peers = arrayOf(fields["trustedPeers"], maxRoutingEntries, `${at}.trustedPeers`);
  return {
    // As written, because the chain is computed over what was written.
    name: fields["name"] as string,
    trustedPeers: peers.map((peer, index) => textOf(peer, peerText, `${at}.trustedPeers[${index}]`)),
  };
}

export function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Exactly these fields: one that is missing or one too many means that somebody else's format was read. */
export function recordOf(
  value: unknown,
  required: readonly string[],
  at: string,
  optional: readonly string[] = [],
): Fields {
  if (!isRecord(value)) throw new Unreadable(`${at} is not an object`);
  for (const key of required) if (!Object.hasOwn(value, key)) throw new Unreadable(`${at}.${key} is missing`);
  for (const key of Object.keys(value)) {
    if (!required.includes(key) && !optional.includes(key)) throw new Unreadable(`${at} has a field it must not have`);
  }
  return value;
}

export function arrayOf(value: unknown, most: number, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Unreadable(`${at} is not a list`);
  if (value.length > most) throw new Unreadable(`${at} has more than ${most} entries`);
  return value;
}

export function textOf(value: unknown, pattern: RegExp, at: string): string {
  if (typeof value === "string" && pattern.test(value)) return value;
  throw new Unreadable(`${at} has the wrong form`);
}

export function integerOf(value: unknown, least: number, at: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
  throw new Unreadable(`${at} is not a whole number of at least ${least}`);
}

export function nameOf(value: unknown, at: string): string {
  if (typeof value === "string" && isName(value)) return value;
  throw new Unreadable(`${at} is not a name`);
}

export function tenantOf(value: unknown, at: string): string {
  if (typeof value === "string" && isTenantKey(value)) return value;
  throw new Unreadable(`${at} is not a tenant key`);
}
