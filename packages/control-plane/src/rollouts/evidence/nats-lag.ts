import { randomUUID } from "node:crypto";
import { connect, type Socket } from "node:net";

export interface NatsAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

interface ConsumerPage {
  readonly error?: { readonly description?: string };
  readonly consumers?: readonly { readonly num_pending?: number; readonly num_ack_pending?: number }[];
}

/** A stamp has a handful; more are not looked at. */
const mostStreams = 100;
const mostBytes = 4 << 20;

/**
 * Messages of all streams that some consumer was not given yet, or has not acknowledged.
 * @throws Error when the server does not answer as one with JetStream does
 */
export async function waitingInNats(address: NatsAddress, withinMs: number): Promise<number> {
  const talk = await openTalk(address, withinMs);
  try {
    const { streams = [] } = (await talk.ask("$JS.API.STREAM.NAMES")) as {
      readonly streams?: readonly string[] | null;
    };
    let waiting = 0;
    for (const stream of (streams ?? []).slice(0, mostStreams)) {
      const { consumers, error } = (await talk.ask(`$JS.API.CONSUMER.LIST.${stream}`)) as ConsumerPage;
      if (error !== undefined) throw new Error(error.description ?? "JetStream refused");
      for (const { num_pending = 0, num_ack_pending = 0 } of consumers ?? []) waiting += num_pending + num_ack_pending;
    }
    return waiting;
  } finally {
    talk.end();
  }
}

interface Talk {
  ask(subject: string): Promise<unknown>;
  end(): void;
}

/** The few words of the NATS client protocol that a question needs. */
function openTalk({ host, port, user, password }: NatsAddress, withinMs: number): Promise<Talk> {
  const inbox = `_INBOX.${randomUUID()}`;
  const socket = connect({ host, port });
  const talk: Listening = { socket, text: "", answer: undefined, fail: undefined };
  const timer = setTimeout(() => socket.destroy(new Error(`No answer in ${withinMs} ms`)), withinMs);
  socket.setEncoding("latin1");
  return new Promise((resolve, reject) => {
    talk.fail = reject;
    talk.answer = (text) => {
      if (text !== "PONG") return;
      resolve({
        ask: (subject) =>
          new Promise((found, failed) => {
            talk.answer = (payload) => found(JSON.parse(payload) as unknown);
            talk.fail = failed;
            socket.write(`PUB ${subject} ${inbox} 0\r\n\r\n`);
          }),
        end() {
          clearTimeout(timer);
          socket.destroy();
        },
      });
    };
    socket.on("error", (error) => talk.fail?.(error));
    socket.on("close", () => {
      clearTimeout(timer);
      talk.fail?.(new Error("The connection ended"));
    });
    socket.on("data", (part: string) => {
      talk.text += part;
      if (talk.text.length > mostBytes) socket.destroy(new Error("The answer is too long"));
      else read(talk);
    });
    const options = { verbose: false, pedantic: false, user, pass: password, lang: "stampyard", version: "1" };
    socket.write(`CONNECT ${JSON.stringify(options)}\r\nSUB ${inbox} 1\r\nPING\r\n`);
  });
}

interface Listening {
  readonly socket: Socket;
  text: string;
  answer: ((payload: string) => void) | undefined;
  fail: ((error: Error) => void) | undefined;
}

function read(talk: Listening): void {
  for (;;) {
    const end = talk.text.indexOf("\r\n");
    if (end < 0) return;
    const line = talk.text.slice(0, end);
    if (line.startsWith("MSG ")) {
      const size = Number(line.split(" ").at(-1));
      const from = end + 2;
      if (talk.text.length < from + size + 2) return;
      const payload = talk.text.slice(from, from + size);
      talk.text = talk.text.slice(from + size + 2);
      talk.answer?.(payload);
      continue;
    }
    talk.text = talk.text.slice(end + 2);
    if (line === "PING") talk.socket.write("PONG\r\n");
    else if (line === "PONG") talk.answer?.("PONG");
    else if (line.startsWith("-ERR")) talk.socket.destroy(new Error(line.slice(0, 200)));
  }
}
