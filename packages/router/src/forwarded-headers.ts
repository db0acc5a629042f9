import type { IncomingMessage } from "node:http";
import { routeHeader } from "@stampyard/guard";
import type { AcceptedRequest } from "./accept-request.ts";
import { foldName, hopByHop, isReserved, listTokens } from "./field-names.ts";

export interface ForwardContext {
  readonly accepted: AcceptedRequest;
  readonly peerAddress: string;
  /** The peer is a proxy of ours: what it says about the client before it is believed. */
  readonly peerTrusted: boolean;
  readonly requestId: string;
  /** Signed route header. */
  readonly route: string;
  /** Name of the header that carries a tenant, if there is such a rule. */
  readonly tenantHeader: string | undefined;
  readonly upgrade: boolean;
}

/** We write these ourselves. */
const rewritten = new Set(["host", "content-length", "expect", "via", "forwarded", "x-real-ip", "x-request-id"]);

const maxHops = 5;
const hopName = "1.1 stampyard";

/**
 * The header list for the stamp, names and values in turn: a new list of what may pass, never the client's with holes.
 * undefined when the request went through routers too often.
 */
export function requestHeaders(rawHeaders: readonly string[], context: ForwardContext): string[] | undefined {
  const { accepted, peerTrusted } = context;
  const dropped = connectionTokens(rawHeaders);
  const tenantHeader = context.tenantHeader === undefined ? undefined : foldName(context.tenantHeader);
  const kept: string[] = ["host", accepted.host];
  const inbound = { forwardedFor: [] as string[], proto: "", requestId: "", via: [] as string[] };

  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    const value = rawHeaders[index + 1] ?? "";
    const lower = name.toLowerCase();
    const folded = foldName(name);
    if (lower === "via") inbound.via.push(value);
    if (peerTrusted) {
      if (lower === "x-forwarded-for") inbound.forwardedFor.push(value);
      if (lower === "x-forwarded-proto") inbound.proto = value;
      if (lower === "x-request-id") inbound.requestId = value;
    }
    if (hopByHop.has(lower) || dropped.has(lower) || isReserved(name)) continue;
    if (rewritten.has(folded) || folded.startsWith("x-forwarded-")) continue;
    if (folded === tenantHeader && !(peerTrusted && lower === context.tenantHeader?.toLowerCase())) continue;
    kept.push(name, value);
  }

  const via = inbound.via.join(", ");
  if (via.split(hopName).length > maxHops) return undefined;
  kept.push("via", via === "" ? hopName : `${via}, ${hopName}`);
  kept.push("x-forwarded-for", [...inbound.forwardedFor, context.peerAddress].join(", "));
  kept.push("x-forwarded-proto", /^https?$/.test(inbound.proto) ? inbound.proto : "http");
  kept.push("x-forwarded-host", accepted.host);
  kept.push("x-request-id", context.requestId);
  kept.push(routeHeader, context.route);
  if (context.upgrade) kept.push("connection", "Upgrade", "upgrade", "websocket");
  else if (accepted.body.kind === "length") kept.push("content-length", `${accepted.body.length}`);
  else if (accepted.body.kind === "chunked") kept.push("transfer-encoding", "chunked");
  return kept;
}

/** The id that a trusted proxy gave the request, if it is one. */
export function inboundRequestId(headers: IncomingMessage["headers"], peerTrusted: boolean): string | undefined {
  const value = headers["x-request-id"];
  return peerTrusted && typeof value === "string" && /^[A-Za-z0-9_.:-]{1,128}$/.test(value) ? value : undefined;
}

/**
 * The header list for the client, names and values in turn. undefined when the response's length cannot be read in one
 * way only.
 */
export function responseHeaders(rawHeaders: readonly string[], requestId: string): string[] | undefined {
  const dropped = connectionTokens(rawHeaders);
  const kept: string[] = [];
  let lengths = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    const value = rawHeaders[index + 1] ?? "";
    const lower = name.toLowerCase();
    if (lower === "content-length") {
      lengths += 1;
      if (lengths > 1 || !/^[0-9]{1,16}$/.test(value)) return undefined;
    }
    if (hopByHop.has(lower) || dropped.has(lower) || isReserved(name) || lower === "x-request-id") continue;
    kept.push(name, value);
  }
  kept.push("x-request-id", requestId);
  return kept;
}

/** Of all `Connection` lines, not the first. */
function connectionTokens(rawHeaders: readonly string[]): Set<string> {
  const tokens = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== "connection") continue;
    for (const token of listTokens(rawHeaders[index + 1] ?? "")) tokens.add(token);
  }
  // A stamp that names one of these would cut the response apart.
  for (const name of ["content-length", "content-type", "set-cookie"]) tokens.delete(name);
  return tokens;
}
