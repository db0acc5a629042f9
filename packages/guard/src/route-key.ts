import { createSecretKey, type KeyObject } from "node:crypto";

/** One of the keys a stamp accepts. A KeyObject, because signing with one costs a fifth of signing with raw bytes. */
export interface RouteKey {
  /** Names the key in the header: 1 to 32 of `A-Z a-z 0-9 _ -`. */
  readonly kid: string;
  readonly key: KeyObject;
}

/** The same key as text, as the directory feed carries it. */
export interface RouteKeyText {
  readonly kid: string;
  /** 32 bytes as base64url without padding: 43 characters. */
  readonly secret: string;
}

const kidPattern = /^[A-Za-z0-9_-]{1,32}$/;
const secretPattern = /^[A-Za-z0-9_-]{43}$/;

/** A stamp needs the current and the next key; more than a few is a mistake, and every one is a way in. */
const maxKeys = 8;

/**
 * Reads the value of `${route.keys}`: `kid:secret,kid:secret`, the current key first.
 * @throws RangeError when the text is not exactly that; the message never holds a secret
 */
export function parseRouteKeys(text: string): RouteKey[] {
  const entries = text.split(",");
  if (entries.length > maxKeys) throw new RangeError(`Too many route keys: ${entries.length}, at most ${maxKeys}`);
  const keys = entries.map((entry, index) => {
    const colon = entry.indexOf(":");
    if (colon < 0) throw new RangeError(`Route key ${index + 1} is not written as kid:secret`);
    return makeRouteKey(entry.slice(0, colon), entry.slice(colon + 1));
  });
  const kids = new Set(keys.map((key) => key.kid));
  if (kids.size !== keys.length) throw new RangeError("Two route keys have the same kid");
  return keys;
}

/**
 * Writes what `parseRouteKeys` reads; the current key first.
 * @throws RangeError when a kid or a secret has the wrong form
 */
export function formatRouteKeys(keys: readonly RouteKeyText[]): string {
  for (const { kid, secret } of keys) requireRouteKeyText(kid, secret);
  return keys.map(({ kid, secret }) => `${kid}:${secret}`).join(",");
}

/**
 * @param secretBase64url 32 random bytes as base64url without padding
 * @throws RangeError when either has the wrong form
 */
export function makeRouteKey(kid: string, secretBase64url: string): RouteKey {
  requireRouteKeyText(kid, secretBase64url);
  return { kid, key: createSecretKey(secretBase64url, "base64url") };
}

/** Whether the feed or a file may hold this as a key. */
export function isRouteKeyText(kid: string, secret: string): boolean {
  return kidPattern.test(kid) && secretPattern.test(secret) && isCanonical(secret);
}

function requireRouteKeyText(kid: string, secret: string): void {
  if (!kidPattern.test(kid)) throw new RangeError("A route key's kid is not 1 to 32 letters, digits, _ or -");
  if (!isRouteKeyText(kid, secret)) throw new RangeError(`Route key ${kid} is not 32 bytes of base64url`);
}

/** 43 characters hold 258 bits: the two spare ones must be zero, so that one key has one spelling. */
function isCanonical(secret: string): boolean {
  return Buffer.from(secret, "base64url").toString("base64url") === secret;
}
