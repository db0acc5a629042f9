import { formatHost, parseHost } from "../host.ts";
import type { RefusalReason } from "../refusals.ts";

export type HeadText =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "refused"; readonly reason: RefusalReason; readonly method: string };

/** Fields that only connections of HTTP/1.1 have (RFC 9113 section 8.2.2). */
const connectionFields = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);
const namePattern = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const maxFields = 100;

/**
 * The head of an HTTP/2 request as the HTTP/1.1 text that says the same, so that both are judged by one reader. What
 * HTTP/1.1 has no place for, or would read as something else, is refused here: a line break in a value is a second field
 * there (RFC 9113 section 10.3).
 * @param fields names and values in turn
 * @param ends the request has no body
 */
export function headText(fields: readonly string[], ends: boolean): HeadText {
  const pseudo = new Map<string, string>();
  let lines = "";
  let host: string | undefined;
  let cookie: string | undefined;
  let lengths = 0;
  const refuse = (reason: RefusalReason): HeadText => ({ kind: "refused", reason, method: methodOf(pseudo) });
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    if (name.startsWith(":")) {
      if (pseudo.has(name) || lines !== "") return refuse("bad-syntax");
      pseudo.set(name, value);
      continue;
    }
    if (!namePattern.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(value)) return refuse("bad-header");
    if (connectionFields.has(name) || (name === "te" && value !== "trailers")) return refuse("bad-header");
    if (name === "host") {
      if (host !== undefined) return refuse("bad-host");
      host = value;
    } else if (name === "cookie") cookie = cookie === undefined ? value : `${cookie}; ${value}`;
    else if (name !== "te") lines += `${name}: ${value}\r\n`;
    if (name === "content-length") lengths += 1;
  }
  if (fields.length > 2 * maxFields) return refuse("too-many-headers");
  const line = requestLine(pseudo, host);
  if (typeof line !== "string") return refuse(line.reason);
  if (cookie !== undefined) lines += `cookie: ${cookie}\r\n`;
  // Frames say where the body ends; without a length the stamp is told in chunks.
  if (!ends && lengths === 0) lines += "transfer-encoding: chunked\r\n";
  return { kind: "text", text: `${line}${lines}\r\n` };
}

function methodOf(pseudo: ReadonlyMap<string, string>): string {
  const method = pseudo.get(":method") ?? "";
  return /^[A-Z]{1,16}$/.test(method) ? method : "";
}

/** Request line and Host. `:authority` is needed, and a Host beside it must say the same (RFC 9113 section 8.3.1). */
function requestLine(
  pseudo: ReadonlyMap<string, string>,
  host: string | undefined,
): string | { readonly reason: RefusalReason } {
  const method = methodOf(pseudo);
  if (method === "" || method === "CONNECT") return { reason: "bad-method" };
  const authority = parseHost(pseudo.get(":authority") ?? "");
  if (authority === undefined) return { reason: "bad-host" };
  const text = formatHost(authority);
  const beside = host === undefined ? authority : parseHost(host);
  if (beside === undefined || formatHost(beside) !== text) return { reason: "bad-host" };
  const path = pseudo.get(":path") ?? "";
  // Clients reach HTTP/2 by TLS only. An absolute path would name a second authority, and a space would end it early.
  if (pseudo.get(":scheme") !== "https" || !/^\/[\x21-\x7e]*$/.test(path)) return { reason: "bad-target" };
  if (pseudo.size !== 4) return { reason: "bad-syntax" };
  return `${method} ${path} HTTP/1.1\r\nhost: ${text}\r\n`;
}
