import type { Socket } from "node:net";
import { maxProxyHeader, type ProxyHeader, readProxyHeader } from "./proxy-protocol.ts";

const headerMs = 5_000;

/**
 * Takes the PROXY protocol header off a connection of a listed peer and then gives the client's address. What follows the header
 * stays in the socket. A connection whose header is not valid, not whole in 5 s, or not there is destroyed: to serve it would be
 * to take the balancer for the client.
 * @param peer the socket's own address; the answer for connections that the peer makes for itself
 */
export function takeProxyHeader(
  socket: Socket,
  peer: string,
  onClient: (address: string) => void,
  onInvalid: (problem: string) => void,
): void {
  let bytes: Buffer = Buffer.alloc(0);
  const fail = (problem: string) => {
    stop();
    socket.destroy();
    onInvalid(problem);
  };
  const timer = setTimeout(() => fail("It did not come in time"), headerMs);
  const onGone = () => stop();
  function stop(): void {
    clearTimeout(timer);
    socket.off("data", onData);
    socket.off("end", onGone);
    socket.off("close", onGone);
  }
  function onData(chunk: Buffer): void {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const header = readProxyHeader(bytes.length > maxProxyHeader ? bytes.subarray(0, maxProxyHeader) : bytes);
    if (header.kind === "incomplete") return;
    if (header.kind === "invalid") {
      fail(header.problem);
      return;
    }
    stop();
    socket.pause();
    if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
    onClient(addressOf(header, peer));
  }
  // Always followed by close.
  socket.on("error", () => {});
  socket.on("data", onData);
  socket.on("end", onGone);
  socket.on("close", onGone);
}

function addressOf(header: Extract<ProxyHeader, { length: number }>, peer: string): string {
  return header.kind === "client" ? header.client.address : peer;
}
