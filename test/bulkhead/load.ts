import { connect, type Socket } from "node:net";

/** What one request came to; "" = a right answer. */
export type Complaint = string;

/** A client with one kept connection that asks again and again, and checks that the answer is its own. */
export async function askRepeatedly(
  port: number,
  host: string,
  expected: string,
  more: () => boolean,
): Promise<{ asked: number; complaints: Complaint[] }> {
  const complaints: Complaint[] = [];
  let asked = 0;
  let socket = await open(port);
  while (more() && complaints.length < 10) {
    asked += 1;
    const text = await exchange(socket, host, 10_000);
    if (!text.startsWith("HTTP/1.1 200 ") || !text.endsWith(`\r\n\r\n${expected}`)) {
      complaints.push(text === "" ? "no answer" : text.slice(0, 400));
      socket.destroy();
      socket = await open(port);
    } else if (/^connection: close/im.test(text)) {
      socket.destroy();
      socket = await open(port);
    }
  }
  socket.destroy();
  return { asked, complaints };
}

/** Keeps a stamp busy: new connections, one request each, given up after a moment. Resolves with statuses and times. */
export async function besiege(
  port: number,
  host: string,
  more: () => boolean,
  patienceMs: number,
): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>();
  while (more()) {
    const startedAt = performance.now();
    const socket = await open(port);
    const text = await exchange(socket, host, patienceMs);
    socket.destroy();
    const status = text.slice(9, 12) === "" ? "none" : text.slice(9, 12);
    const kept = times.get(status) ?? [];
    times.set(status, kept);
    kept.push(performance.now() - startedAt);
  }
  return times;
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
export function exchange(socket: Socket, host: string, withinMs: number): Promise<string> {
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
      const length = /^content-length: *([0-9]+)/im.exec(text)?.[1];
      if (head >= 0 && length !== undefined && text.length >= head + 4 + Number(length)) finish();
    };
    const timer = setTimeout(finish, withinMs);
    socket.on("data", read);
    socket.once("close", finish);
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  });
}
