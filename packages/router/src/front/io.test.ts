import { createHash, randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { type Channel, type IoMode, openChannel } from "./io.ts";

/** The same numbers for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test.each<IoMode>(["public", "fast"])(
  "a channel that is paused and resumed at any time gives all bytes once, in order, then the end (%s, I9)",
  async (mode) => {
    const seed = randomInt(2 ** 31);
    const random = randomOf(seed);
    const sent = randomBytes(3 << 20);
    const heard = createHash("sha256");
    let received = 0;
    let whilePaused = 0;
    const server = createServer({ allowHalfOpen: true });
    const ended = new Promise<void>((resolve, reject) => {
      server.once("connection", (socket) => {
        let paused = false;
        const resume = () => {
          paused = false;
          channel.resume();
        };
        const channel: Channel = openChannel(
          socket,
          {
            onBytes(bytes) {
              heard.update(bytes);
              received += bytes.length;
              if (paused) whilePaused += 1;
              if (paused || random() < 0.6) return;
              paused = true;
              channel.pause();
              const turns = Math.floor(random() * 6);
              const wait = (left: number): void => void setImmediate(left > 0 ? () => wait(left - 1) : resume);
              wait(turns);
            },
            awaitsHead: () => false,
            onShortRead() {},
            onDrain() {},
            onEnd() {
              channel.destroy();
              resolve();
            },
            onClose: () => reject(new Error("It closed before its end")),
          },
          mode,
        );
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    for (let at = 0; at < sent.length; ) {
      const size = 1 + Math.floor(random() ** 3 * 200_000);
      if (!client.write(sent.subarray(at, at + size))) await once(client, "drain");
      at += size;
    }
    client.end();
    await ended;
    client.destroy();
    server.close();
    expect(whilePaused, `seed ${seed}`).toBe(0);
    expect(received, `seed ${seed}`).toBe(sent.length);
    expect(heard.digest("hex"), `seed ${seed}`).toBe(createHash("sha256").update(sent).digest("hex"));
  },
);
