import { reservedPrefix } from "@stampyard/guard";

/**
 * How frameworks see a field name at their laziest: CGI and its heirs turn every separator into `_`, so `Stampyard_Route`
 * and `stampyard.route` may reach an application as the header we signed.
 */
export function foldName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

/** Whether the name belongs to Stampyard, in any spelling (I6). */
export function isReserved(name: string): boolean {
  return foldName(name).startsWith(reservedPrefix);
}

/** Lower-case tokens of a comma-separated list such as the value of `Connection`. */
export function listTokens(value: string): string[] {
  return value
    .split(",")
    .map((token) => token.trim().toLowerCase())
    .filter((token) => token !== "");
}

/** Fields that mean something for one connection only (RFC 9110 section 7.6.1), and what older peers still send. */
export const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);
