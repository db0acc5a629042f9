import { StampyardError } from "./errors.ts";

/**
 * Names of stamps, pools, components, stages and units: they become directory names, database names, hostnames and
 * environment variables, so only what is safe in all of these is allowed.
 */
const namePattern = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

const hostLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The home that the directory names for a suspended tenant. No stamp may have this name, so a router that knows nothing
 * of suspension finds no endpoint there and refuses the tenant as well.
 */
export const suspendedHome = "suspended";

export function isName(text: string): boolean {
  return namePattern.test(text) && !text.includes("--");
}

/** One DNS label (RFC 1035 section 2.3.1), so that it can be a subdomain; digits may lead (RFC 1123). */
export function isTenantKey(text: string): boolean {
  const { length } = text;
  if (length === 0 || length > 63) return false;
  // By hand: it is asked for every request, and a pattern costs several times as much.
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    const inside = code === 0x2d && at > 0 && at < length - 1;
    if (!inside && (code < 0x61 || code > 0x7a) && (code < 0x30 || code > 0x39)) return false;
  }
  return true;
}

/** A lower-case DNS name of at least two labels, without port or trailing dot, that is not an IPv4 address. */
export function isHostname(text: string): boolean {
  if (text.length > 253) return false;
  const labels = text.split(".");
  if (labels.length < 2 || /^[0-9]+$/.test(labels.at(-1) ?? "")) return false;
  return labels.every((label) => hostLabel.test(label));
}

/** @throws StampyardError INVALID_NAME */
export function requireName(kind: string, text: string): string {
  if (kind === "stamp" && text === suspendedHome) {
    throw new StampyardError("INVALID_NAME", `No stamp can be called ${quote(text)}`, {
      mend: "Choose another name: in the directory this one stands for suspended tenants.",
    });
  }
  if (isName(text)) return text;
  throw new StampyardError("INVALID_NAME", `Invalid ${kind} name ${quote(text)}`, {
    mend: "Use 1 to 40 lower-case letters, digits and single hyphens, starting with a letter.",
  });
}

/** Tenants of Stampyard's own, such as the one that shows that a new stamp works. */
export const reservedKeyPrefix = "stampyard-";

export function isReservedTenantKey(key: string): boolean {
  return key.startsWith(reservedKeyPrefix);
}

/** A key that somebody may give to a tenant. @throws StampyardError INVALID_NAME */
export function requireTenantKey(text: string): string {
  if (isReservedTenantKey(text)) {
    throw new StampyardError("INVALID_NAME", `Tenant key ${quote(text)} is reserved`, {
      mend: `Choose one that does not begin with ${reservedKeyPrefix}, which is kept for Stampyard itself.`,
    });
  }
  if (isTenantKey(text)) return text;
  throw new StampyardError("INVALID_NAME", `Invalid tenant key ${quote(text)}`, {
    mend: "Use 1 to 63 lower-case letters, digits and hyphens; no hyphen first or last (it becomes a subdomain).",
  });
}

/** @throws StampyardError INVALID_NAME */
export function requireHostname(text: string): string {
  if (isHostname(text)) return text;
  throw new StampyardError("INVALID_NAME", `Invalid hostname ${quote(text)}`, {
    mend: "Use a lower-case DNS name such as notes.acme.com, without port, scheme or trailing dot.",
  });
}

/**
 * Quotes hostile text for a message: length bounded, and everything escaped that a terminal or a reader could take for
 * something else (C0 and C1 controls, line separators, direction marks).
 */
export function quote(text: string): string {
  const bounded = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(bounded).replace(
    /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
