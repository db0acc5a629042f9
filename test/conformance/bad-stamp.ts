import { type AddressInfo, createServer, type Socket } from "node:net";
import { type ReadRequest, readRequests } from "./strict-reader.ts";

/** What a misbehaving stamp does with a request that it has read, or with a head whose body is still coming. */
export type Misdeed = (socket: Socket, request: ReadRequest | undefined) => void;

export interface BadStamp {
  readonly port: number;
  readonly seen: ReadRequest[];
  /** Connections that were ever opened. */
  connections(): number;
  misdeed: Misdeed;
  /** Acts as soon as the head is there. */
  early: boolean;
  stop(): Promise<void>;
}

/** A stamp that does with its connection what the test says. */
export async function startBadStamp(): Promise<BadStamp> {
  const sockets = new Set<Socket>();
  let opened = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    opened += 1;
    sockets.add(socket);
    let pending = "";
    let acted = false;
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (text: string) => {
      pending += text;
      if (stamp.early && !acted && pending.includes("\r\n\r\n")) {
        acted = true;
        stamp.misdeed(socket, undefined);
        return;
      }
      const read = readRequests(pending);
      pending = pending.slice(read.consumed);
      for (const request of read.requests) {
        stamp.seen.push(request);
        if (!acted) stamp.misdeed(socket, request);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const stamp: BadStamp = {
    port: (server.address() as AddressInfo).port,
    seen: [],
    connections: () => opened,
    misdeed: answerOk,
    early: false,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return stamp;
}

/** A good answer that says which request it is for. */
export const answerOk: Misdeed = (socket, request) => {
  const body = `for ${request?.target}`;
  socket.write(
    `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${request?.method === "HEAD" ? "" : body}`,
    "latin1",
  );
};
