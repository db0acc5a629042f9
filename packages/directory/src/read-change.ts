import { isHostname, isName, isTenantKey } from "@stampyard/domain";
import type { DirectoryChange } from "./change.ts";
import { routingOf } from "./read-routing.ts";

/**
 * What arrived has the right form in everything this version knows, or it is refused with the place that is wrong. Nothing
 * is repaired (I14). Fields that this version does not know stay where they are: the chain is computed over the change as
 * it was made, and a newer version that reads our files may know them (FEED.md).
 */
export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

/** Thrown and caught inside this package only: validators stay readable, callers get a value. */
export class Unreadable extends Error {}

/** A change that is whole but of a kind that only a newer version knows; it may mean anything. */
export class UnknownKind extends Unreadable {
  readonly kind: string;
  constructor(kind: string) {
    super(`a change of kind ${kind}, which only a newer version knows`);
    this.kind = kind;
  }
}

export type Fields = Readonly<Record<string, unknown>>;

const maxHostnames = 1_000;
const maxAliases = 1_000;
const maxEndpoints = 1_000;
/** Of the fields of one tenant that are not in its record's own form, as JSON; those of newer versions among them. */
const maxDetailCharacters = 16_384;
const kindText = /^[a-z][a-z0-9-]{0,63}$/;
const aliasText = /^[\x21-\x7e]{1,255}$/;
const hostText = /^[A-Za-z0-9.:_-]{1,253}$/;
const regionText = /^[A-Za-z0-9._-]{1,100}$/;

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

/** The change itself, as it came, once everything known about it is checked. */
export function changeOf(value: unknown, at: string): DirectoryChange {
  const kind = isRecord(value) ? value["kind"] : undefined;
  switch (kind) {
    case "stamp-put":
      checkStamp(value, at);
      break;
    case "stamp-remove":
      nameOf(recordOf(value, ["kind", "stamp"], at)["stamp"], `${at}.stamp`);
      break;
    case "tenant-put":
      checkTenant(value, at);
      break;
    case "tenant-remove":
      tenantOf(recordOf(value, ["kind", "tenant"], at)["tenant"], `${at}.tenant`);
      break;
    case "routing-put":
      routingOf(recordOf(value, ["kind", "routing"], at)["routing"], `${at}.routing`);
      break;
    default:
      if (typeof kind === "string" && kindText.test(kind)) throw new UnknownKind(kind);
      throw new Unreadable(`${at}.kind is not a kind of change`);
  }
  return value as DirectoryChange;
}

function checkStamp(value: unknown, at: string): void {
  const fields = recordOf(value, ["kind", "stamp", "pool", "region", "endpoints", "endpointRevision"], at);
  nameOf(fields["stamp"], `${at}.stamp`);
  nameOf(fields["pool"], `${at}.pool`);
  textOf(fields["region"], regionText, `${at}.region`);
  const endpoints = arrayOf(fields["endpoints"], maxEndpoints, `${at}.endpoints`);
  for (const [index, endpoint] of endpoints.entries()) checkEndpoint(endpoint, `${at}.endpoints[${index}]`);
  integerOf(fields["endpointRevision"], 0, `${at}.endpointRevision`);
}

const tenantFields = new Set(["kind", "tenant", "stamp", "epoch", "hostnames", "aliases"]);

function checkTenant(value: unknown, at: string): void {
  const fields = recordOf(value, ["kind", "tenant", "stamp", "epoch", "hostnames"], at);
  tenantOf(fields["tenant"], `${at}.tenant`);
  nameOf(fields["stamp"], `${at}.stamp`);
  integerOf(fields["epoch"], 1, `${at}.epoch`);
  const hostnames = arrayOf(fields["hostnames"], maxHostnames, `${at}.hostnames`);
  for (const hostname of hostnames) {
    if (typeof hostname !== "string" || !isHostname(hostname)) {
      throw new Unreadable(`${at}.hostnames holds something that is no hostname`);
    }
  }
  if (new Set(hostnames).size !== hostnames.length) throw new Unreadable(`${at}.hostnames holds a hostname twice`);
  if (fields["aliases"] !== undefined) {
    const aliases = arrayOf(fields["aliases"], maxAliases, `${at}.aliases`);
    for (const alias of aliases) textOf(alias, aliasText, `${at}.aliases[]`);
    if (new Set(aliases).size !== aliases.length) throw new Unreadable(`${at}.aliases holds an alias twice`);
  }
  if (fields["tier"] !== undefined) nameOf(fields["tier"], `${at}.tier`);
  const unknown = Object.keys(fields).filter((name) => !tenantFields.has(name));
  if (unknown.length === 0) return;
  const details = JSON.stringify(unknown.map((name) => [name, fields[name]]));
  if (details.length > maxDetailCharacters) throw new Unreadable(`${at} has too much that is not known`);
}

function checkEndpoint(value: unknown, at: string): void {
  const fields = recordOf(value, ["host", "port"], at);
  textOf(fields["host"], hostText, `${at}.host`);
  if (integerOf(fields["port"], 1, `${at}.port`) > 65_535) throw new Unreadable(`${at}.port is above 65535`);
}

export function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * At least these fields. More of them come from a newer version, and mean nothing to this one; the list of those that may
 * be absent is for people who read the call.
 */
export function recordOf(
  value: unknown,
  required: readonly string[],
  at: string,
  _optional: readonly string[] = [],
): Fields {
  if (!isRecord(value)) throw new Unreadable(`${at} is not an object`);
  for (const key of required) if (!Object.hasOwn(value, key)) throw new Unreadable(`${at}.${key} is missing`);
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
