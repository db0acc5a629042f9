import type { IncomingMessage } from "node:http";
import { isReserved, listTokens } from "./field-names.ts";
import { formatHost, parseHost } from "./host.ts";
import type { RefusalReason } from "./refusals.ts";

/** A request that every reader understands alike. Node's parser is strict about syntax; what is left is about meaning. */
export interface AcceptedRequest {
  /** Normalised name for routing. */
  readonly hostName: string;
  /** Normalised `name[:port]` for forwarding. */
  readonly host: string;
  /** Origin-form path without query. */
  readonly path: string;
  /** `?…` or empty. */
  readonly query: string;
  readonly body: { readonly kind: "none" | "chunked" } | { readonly kind: "length"; readonly length: number };
}

export type Acceptance =
  | { readonly ok: true; readonly value: AcceptedRequest }
  | { readonly ok: false; readonly reason: RefusalReason };

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const maxHeaders = 100;
const maxTarget = 8_192;
const namePattern = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** Removing one of these because `Connection` names it would change what the request means. */
const neverHopByHop = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "authorization",
  "cookie",
  "content-type",
]);

/** Accepts a request that every reader understands in the same way, or says why not. Pure but for reading the message. */
export function acceptRequest(
  request: Pick<IncomingMessage, "rawHeaders" | "httpVersion" | "method" | "url">,
): Acceptance {
  const { rawHeaders, httpVersion, method = "", url = "" } = request;
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return refuse("bad-version");
  if (!methods.has(method)) return refuse("bad-method");
  if (rawHeaders.length > 2 * maxHeaders) return refuse("too-many-headers");
  if (url.length > maxTarget) return refuse("target-too-long");

  const fields = readFields(rawHeaders);
  if (fields === undefined) return refuse("bad-header");
  const { hosts, lengths, encodings, connections } = fields;

  const host = hosts.length === 1 ? parseHost(hosts[0] ?? "") : undefined;
  if (host === undefined) return refuse("bad-host");
  const target = readTarget(url, formatHost(host));
  if (target === undefined) return refuse("bad-target");

  const body = readFraming(lengths, encodings, httpVersion, method);
  if (body === undefined) return refuse("bad-framing");
  for (const token of connections) {
    if (neverHopByHop.has(token) || isReserved(token)) return refuse("bad-header");
  }
  return { ok: true, value: { hostName: host.name, host: formatHost(host), ...target, body } };
}

interface Fields {
  readonly hosts: string[];
  readonly lengths: string[];
  readonly encodings: string[];
  readonly connections: string[];
}

function readFields(rawHeaders: readonly string[]): Fields | undefined {
  const fields: Fields = { hosts: [], lengths: [], encodings: [], connections: [] };
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    const value = rawHeaders[index + 1] ?? "";
    if (!namePattern.test(name)) return undefined;
    switch (name.toLowerCase()) {
      case "host":
        fields.hosts.push(value);
        break;
      case "content-length":
        fields.lengths.push(value);
        break;
      case "transfer-encoding":
        fields.encodings.push(value);
        break;
      case "connection":
        fields.connections.push(...listTokens(value));
        break;
    }
  }
  return fields;
}

/** RFC 9112 section 6.3, with every "ought to be handled as an error" handled as one. */
function readFraming(
  lengths: readonly string[],
  encodings: readonly string[],
  version: string,
  method: string,
): AcceptedRequest["body"] | undefined {
  if (encodings.length > 0) {
    if (lengths.length > 0 || encodings.length > 1 || version === "1.0") return undefined;
    return /^[\t ]*chunked[\t ]*$/i.test(encodings[0] ?? "") ? { kind: "chunked" } : undefined;
  }
  if (lengths.length === 0) return { kind: "none" };
  // Only space and tab may surround a value: trim() also takes a vertical tab or a no-break space, and others do not.
  const text = /^[\t ]*([0-9]{1,16})[\t ]*$/.exec(lengths[0] ?? "")?.[1];
  if (lengths.length > 1 || text === undefined) return undefined;
  const length = Number(text);
  if (!Number.isSafeInteger(length)) return undefined;
  const unexpected = version === "1.0" && (method === "GET" || method === "HEAD" || method === "DELETE");
  return unexpected && length > 0 ? undefined : { kind: "length", length };
}

/** Origin-form as it is; absolute-form only if its authority is the Host, then as origin-form (RFC 9112 section 3.2). */
function readTarget(url: string, host: string): { path: string; query: string } | undefined {
  let origin = url;
  if (!url.startsWith("/")) {
    const absolute = /^https?:\/\/([^/?#]*)([^#]*)$/i.exec(url);
    const authority = absolute === null ? undefined : parseHost(absolute[1] ?? "");
    if (absolute === null || authority === undefined || formatHost(authority) !== host) return undefined;
    const rest = absolute[2] ?? "";
    origin = rest.startsWith("/") ? rest : `/${rest}`;
  }
  // A fragment never belongs in a target, and %00 ends the path for readers written in C.
  if (/[^\x21-\x7e\x80-\xff]|#|%00/.test(origin)) return undefined;
  const mark = origin.indexOf("?");
  return mark < 0 ? { path: origin, query: "" } : { path: origin.slice(0, mark), query: origin.slice(mark) };
}

function refuse(reason: RefusalReason): Acceptance {
  return { ok: false, reason };
}
