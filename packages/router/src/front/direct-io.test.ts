import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { Duplex } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../test-bed/test-bed.ts";
import { directIoProblem, directWriter, readDirectly } from "./direct-io.ts";
import { type Channel, openChannel } from "./io.ts";
import { lentReads } from "./lent-reads.ts";

const open: (Server | Socket)[] = [];
afterEach(() => {
  for (const one of open.splice(0)) {
    if (one instanceof Socket) one.destroy();
    else one.close();
  }
});

/** Both ends of a connection. The one that was accepted is not read yet. */
async function pair(): Promise<{ readonly accepted: Socket; readonly client: Socket }> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  open.push(server);
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.on("error", () => {});
  open.push(client, await accepted);
  return { accepted: await accepted, client };
}

interface Served {
  readonly channel: Channel;
  readonly accepted: Socket;
  readonly client: Socket;
  readonly heard: string[];
  readonly events: string[];
  /** Writes that went by the stream. */
  streamed(): number;
}

async function serve(): Promise<Served> {
  const { accepted, client } = await pair();
  const heard: string[] = [];
  const events: string[] = [];
  let streamed = 0;
  const write = accepted.write.bind(accepted) as (...all: unknown[]) => boolean;
  accepted.write = ((...all: unknown[]) => {
    streamed += 1;
    return write(...all);
  }) as Socket["write"];
  const channel = openChannel(
    accepted,
    {
      onBytes: (bytes) => heard.push(bytes.toString("latin1")),
      awaitsHead: () => false,
      onShortRead() {},
      onDrain: () => events.push("drain"),
      onEnd: () => events.push("end"),
      onClose: () => events.push("close"),
    },
    "fast",
  );
  return { channel, accepted, client, heard, events, streamed: () => streamed };
}

const turnEnd = () => new Promise<void>((resolve) => setImmediate(resolve));

/** So that a request to write is known, however the tests are ordered. */
async function learned(): Promise<void> {
  const { channel, streamed } = await serve();
  channel.write("x");
  await turnEnd();
  expect(streamed()).toBeLessThanOrEqual(1);
}

test("this Node is one that the fast way was made for", () => {
  expect(directIoProblem()).toBeUndefined();
});

test("a fast channel reads into lent memory and writes past the stream, after one write to learn from", async () => {
  await learned();
  const { channel, client, heard, events, streamed } = await serve();
  expect(channel.lends).toBe(true);
  const answers: Buffer[] = [];
  client.on("data", (bytes: Buffer) => answers.push(bytes));
  for (let n = 0; n < 50; n++) {
    client.write(`question ${n};`);
    await eventually(() => expect(heard.join("")).toContain(`question ${n};`));
    channel.write(`answer ${n};`);
  }
  await eventually(() => expect(Buffer.concat(answers).toString()).toContain("answer 49;"));
  expect(Buffer.concat(answers).toString()).toBe(Array.from({ length: 50 }, (_, n) => `answer ${n};`).join(""));
  expect(streamed()).toBe(0);
  client.end();
  await eventually(() => expect(events).toEqual(["end"]));
  channel.end();
  await eventually(() => expect(events).toEqual(["end", "close"]));
});

test("what the system does not take waits in order, by both ways, and its end is told (I13)", async () => {
  await learned();
  const { channel, client, events } = await serve();
  client.pause();
  const sent: Buffer[] = [];
  const send = async (n: number) => {
    const text = `${n};`.repeat(3_000);
    sent.push(Buffer.from(text));
    // Every fifth goes by the stream, beside what waits past it.
    const flows = n % 5 === 0 ? channel.writeBytes(Buffer.from(text)) : channel.write(text);
    await turnEnd();
    return flows;
  };
  let number = 0;
  while (channel.unsent() === 0 && number < 5_000) await send(number++);
  expect(channel.unsent()).toBeGreaterThan(0);
  for (const last = number + 20; number < last; number++) await send(number);
  expect(await send(1)).toBe(false);
  expect(events).toEqual([]);

  const got: Buffer[] = [];
  client.on("data", (bytes: Buffer) => got.push(bytes));
  client.resume();
  const whole = Buffer.concat(sent);
  await eventually(() => expect(got.reduce((sum, one) => sum + one.length, 0)).toBe(whole.length), 10_000);
  expect(Buffer.concat(got).equals(whole)).toBe(true);
  await eventually(() => expect(events).toContain("drain"));
  expect(channel.unsent()).toBe(0);
});

test("a reset or a destroy while something waits ends the channel once, without a drain", async () => {
  await learned();
  for (const end of ["reset", "destroy"]) {
    const { channel, client, events } = await serve();
    client.pause();
    for (let n = 0; channel.unsent() === 0 && n < 5_000; n++) {
      channel.write("x".repeat(9_000));
      await turnEnd();
    }
    if (end === "reset") client.resetAndDestroy();
    else channel.destroy();
    await eventually(() => expect(events).toContain("close"));
    channel.write("too late");
    await turnEnd();
    expect(events.filter((one) => one !== "end")).toEqual(["close"]);
  }
});

test("what is no plain socket, or was read already, goes by the stream", async () => {
  class OwnSocket extends Socket {}
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  for (const other of [new OwnSocket(), new Socket(), stream]) {
    expect(directWriter(other, () => {})).toBeUndefined();
    expect(readDirectly(other, lentReads(), () => {})).toBe(false);
    other.destroy();
  }
  const { accepted, client } = await pair();
  const chunks: string[] = [];
  accepted.on("data", (bytes: Buffer) => chunks.push(String(bytes)));
  expect(readDirectly(accepted, lentReads(), () => chunks.push("lent"))).toBe(false);
  client.write("hello");
  await eventually(() => expect(chunks).toEqual(["hello"]));
});
