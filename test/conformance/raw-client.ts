import { connect, type Socket } from "node:net";
import { type ReadAnswers, readAnswers } from "./strict-reader.ts";

/** One client connection that sends bytes as they are and keeps what comes back. */
export interface RawClient {
  readonly socket: Socket;
  received: string;
  /** The router ended its side: "fin" in order, "reset" by force. */
  ended: "open" | "fin" | "reset";
  send(bytes: string): void;
  /** Resolves true when `done` holds, false at the end of the connection or of time. */
  until(done: () => boolean, withinMs: number): Promise<boolean>;
}

export function openRawClient(port: number): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    // A client that has sent everything may end its side and still wants its answer.
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    socket.setEncoding("latin1");
    let wake = () => {};
    const client: RawClient = {
      socket,
      received: "",
      ended: "open",
      send: (bytes) => void socket.write(bytes, "latin1"),
      until: (done, withinMs) =>
        new Promise((settle) => {
          if (done()) return settle(true);
          if (client.ended !== "open") return settle(false);
          const finish = (outcome: boolean) => {
            clearTimeout(timer);
            wake = () => {};
            settle(outcome);
          };
          const timer = setTimeout(() => finish(done()), withinMs);
          wake = () => {
            if (done()) finish(true);
            else if (client.ended !== "open") finish(false);
          };
        }),
    };
    socket.on("data", (text: string) => {
      client.received += text;
      wake();
    });
    socket.on("end", () => {
      if (client.ended === "open") client.ended = "fin";
      socket.end();
      wake();
    });
    socket.on("close", () => {
      if (client.ended === "open") client.ended = "reset";
      wake();
    });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve(client);
    });
  });
}

/** What the client can make of its bytes so far. */
export function answersOf(client: RawClient, methods: readonly string[]): ReadAnswers {
  return readAnswers(client.received, methods, client.ended === "fin");
}

export function reasonOf(body: string): string {
  const match = /"reason":"([^"]*)"/.exec(body);
  return match?.[1] ?? "";
}
