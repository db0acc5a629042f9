import type { AcceptedTarget } from "../find-route.ts";
import { formatHost, parseHost } from "../host.ts";
import { unmapped } from "../trusted-peers.ts";

/** The request that an ingress asks about, as its question describes it. */
export interface OriginalRequest {
  readonly accepted: AcceptedTarget;
  /** The address that the ingress saw; undefined = it does not say, and nobody is trusted then. */
  readonly clientAddress: string | undefined;
}

/**
 * Reads the question. The ingress must set these itself, so that no client can: `X-Forwarded-Host` and
 * `X-Forwarded-Uri` (Traefik, nginx), or `X-Original-URI`; Envoy instead puts the path behind `/decide` and keeps Host.
 * The client is the last of `X-Forwarded-For`, which is what the ingress saw.
 */
export function readOriginalRequest(
  rawHeaders: readonly string[],
  target: string,
): OriginalRequest | "bad-host" | "bad-target" {
  const one = (name: string) => lastOf(rawHeaders, name);
  const host = parseHost(one("x-forwarded-host") ?? one("host") ?? "");
  if (host === undefined) return "bad-host";
  const asked = one("x-forwarded-uri") ?? one("x-original-uri") ?? target.replace(/^\/decide(?:\?[^/]*)?/, "");
  const uri = asked === "" ? "/" : asked;
  if (!uri.startsWith("/") || uri.length > 8_192 || /[^\x21-\x7e\x80-\xff]|#|%00/.test(uri)) return "bad-target";
  const mark = uri.indexOf("?");
  const hops = one("x-forwarded-for") ?? one("x-real-ip");
  const address = hops?.slice(hops.lastIndexOf(",") + 1).trim();
  return {
    accepted: {
      hostName: host.name,
      host: formatHost(host),
      path: mark < 0 ? uri : uri.slice(0, mark),
      query: mark < 0 ? "" : uri.slice(mark),
    },
    clientAddress: address === undefined || address === "" ? undefined : unmapped(address),
  };
}

/** The last one, as the ingress adds its own behind what a client sent; of two hosts none. */
function lastOf(rawHeaders: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === name) value = rawHeaders[index + 1];
  }
  return value;
}
