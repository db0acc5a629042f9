import { connect, type Socket } from "node:net";
import type { OpenClient } from "./carriers.ts";

/** A client with one kept connection that asks again and again, and checks that the answer is its own. */
export async function askRepeatedly(
  openClient: OpenClient,
  host: string,
  expected: string,
  more: () => boolean,
): Promise<{ asked: number; complaints: string[] }> {
  const complaints: string[] = [];
  let asked = 0;
  let client = await openClient(host);
  while (more() && complaints.length < 10) {
    asked += 1;
    const { status, text } = await client.ask(10_000);
    const isRight = (status === "200" || status === "101") && text === expected;
    if (!isRight) complaints.push(status === "" ? "no answer" : `${status} ${text.slice(0, 400)}`);
    if (isRight && client.isOpen()) continue;
    client.destroy();
    client = await openClient(host);
  }
  client.destroy();
  return { asked, complaints };
}

/**
 * Keeps a stamp busy: a question at a time, each given up after a moment. Resolves with how many of each status there were.
 * @param keeps goes on with a connection, where a new one costs far more than a question
 */
export async function besiege(
  openClient: OpenClient,
  host: string,
  more: () => boolean,
  { patienceMs, keeps }: { readonly patienceMs: number; readonly keeps: boolean },
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  while (more()) {
    const client = await openClient(host);
    do {
      const { status } = await client.ask(patienceMs);
      counts.set(status || "none", (counts.get(status || "none") ?? 0) + 1);
    } while (keeps && more() && client.isOpen());
    client.destroy();
  }
  return counts;
}

export function open(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.on("error", () => {});
    socket.once("connect", () => resolve(socket));
    socket.once("close", () => resolve(socket));
  });
}

/** One request; gives what came until the answer was whole, the connection ended or the time was over. */
export function exchange(socket: Socket, host: string, withinMs: number, lines = ""): Promise<string> {
  if (socket.destroyed) return Promise.resolve("");
  return new Promise((resolve) => {
    let text = "";
    const finish = () => {
      clearTimeout(timer);
      socket.off("data", read);
      socket.off("close", finish);
      resolve(text);
    };
    const read = (bytes: Buffer) => {
      // An endless body is read and forgotten.
      if (text.length < 65_536) text += bytes.toString("latin1");
      const head = text.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = /^content-length: *([0-9]+)/im.exec(text)?.[1];
      if (text.startsWith("HTTP/1.1 101 ") || (length !== undefined && text.length >= head + 4 + Number(length)))
        finish();
    };
    const timer = setTimeout(finish, withinMs);
    socket.on("data", read);
    socket.once("close", finish);
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
  });
}
