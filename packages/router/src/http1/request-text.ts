import { routeHeader } from "@stampyard/guard";
import type { RequestHead } from "./request-head.ts";

export interface Forwarded {
  /** Path and query for the stamp. */
  readonly target: string;
  readonly peerAddress: string;
  /** What the client spoke to us. */
  readonly scheme: "http" | "https";
  readonly requestId: string;
  /** Signed route header. */
  readonly route: string;
}

const beforeHost = " HTTP/1.1\r\nhost: ";
const beforeId = "\r\nx-request-id: ";
const beforeRoute = `\r\n${routeHeader}: `;
const maxHops = 5;
const hopName = "1.1 stampyard";

/** The request went through routers too often. */
export function isLooping({ fields }: RequestHead): boolean {
  return fields.via !== "" && fields.via.split(hopName).length > maxHops;
}

/** The id that a trusted proxy gave the request, if it is one. */
export function inboundRequestId({ fields }: RequestHead): string | undefined {
  return fields.requestId !== "" && /^[A-Za-z0-9_.:-]{1,128}$/.test(fields.requestId) ? fields.requestId : undefined;
}

/** The whole head for the stamp, canonical: one request for every reader (I8). */
export function requestText(head: RequestHead, forwarded: Forwarded): string {
  const { fields, host } = head;
  const { target, peerAddress, scheme, requestId, route } = forwarded;
  if (fields.via === "" && fields.forwardedFor === "" && fields.forwardedProto === "") {
    // Few pieces: each is walked again when the text is written.
    const line = (head.method === "GET" ? "GET " : `${head.method} `) + target + beforeHost + host;
    const start = `${line}\r\n${fields.lines}` + peerLines(peerAddress, scheme) + host + beforeId + requestId;
    return start + beforeRoute + route + framingLines(head);
  }
  const via = fields.via === "" ? hopName : `${fields.via}, ${hopName}`;
  const client = fields.forwardedFor === "" ? peerAddress : `${fields.forwardedFor}, ${peerAddress}`;
  const proto = fields.forwardedProto === "http" || fields.forwardedProto === "https" ? fields.forwardedProto : scheme;
  return (
    `${head.method} ${target} HTTP/1.1\r\nhost: ${host}\r\n${fields.lines}via: ${via}\r\nx-forwarded-for: ${client}\r\n` +
    `x-forwarded-proto: ${proto}\r\nx-forwarded-host: ${host}\r\nx-request-id: ${requestId}\r\n${routeHeader}: ${route}` +
    framingLines(head)
  );
}

let lastPeer = "";
let lastScheme = "";
let lastLines = "";

/** The same for all requests of a client that is no proxy, up to the value of x-forwarded-host; made once for those in a row. */
function peerLines(address: string, scheme: string): string {
  if (address !== lastPeer || scheme !== lastScheme) {
    lastPeer = address;
    lastScheme = scheme;
    lastLines = `via: ${hopName}\r\nx-forwarded-for: ${address}\r\nx-forwarded-proto: ${scheme}\r\nx-forwarded-host: `;
  }
  return lastLines;
}

/** Ends the line before, and the head. */
function framingLines(head: RequestHead): string {
  if (head.webSocketKey !== "") return "\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
  switch (head.body) {
    case "none":
      return "\r\n\r\n";
    case "length":
      return `\r\ncontent-length: ${head.length}\r\n\r\n`;
    case "chunked":
      return "\r\ntransfer-encoding: chunked\r\n\r\n";
  }
}
