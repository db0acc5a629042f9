/** A control plane of the feed only: it sends changes by the clock, and keeps when the router said that they hold. */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { encodeFrame, nextChain } from "../../packages/directory/dist/index.js";
import { wait } from "../router/processes.mjs";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

export async function startFeedServer(position) {
  let head = position;
  const followers = new Set();
  const heldAt = new Map();
  let acks = 0;
  let held = position.version;
  const server = createServer((request, response) => {
    if (request.url.startsWith("/v1/directory/feed")) {
      response.writeHead(200, { "content-type": "application/vnd.stampyard.feed" });
      response.write(encodeFrame({ kind: "hello", mode: "normal", heartbeatMs: 1_000, ...head }));
      followers.add(response);
      response.on("close", () => followers.delete(response));
      return;
    }
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (part) => {
      text += part;
    });
    request.on("end", () => {
      response.writeHead(204).end();
      if (!request.url.startsWith("/v1/directory/ack")) return;
      acks += 1;
      // What is acknowledged holds with all before it: applied, and on the router's disk.
      for (const { version } = JSON.parse(text); held < version; ) heldAt.set(++held, performance.now());
    });
  });
  const send = (frame) => {
    for (const follower of followers) follower.write(frame);
  };
  const beat = setInterval(() => send(encodeFrame({ kind: "heartbeat", ...head })), 1_000);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    followers: () => followers.size,
    get acks() {
      return acks;
    },
    /** Frames of these changes, made before the clock runs, since their chain takes time. */
    prepare(changes) {
      let { version, chain } = head;
      return changes.map((change) => {
        version += 1;
        chain = nextChain(chain, change, sha256);
        const message = { incarnation: head.incarnation, version, chain };
        return { frame: encodeFrame({ kind: "delta", ...message, change }), position: message };
      });
    },
    /** Sends them at this rate; gives how long each took to hold, in milliseconds, and the rate that was reached. */
    async play(prepared, perSecond) {
      const began = performance.now();
      const sentAt = [];
      while (sentAt.length < prepared.length) {
        const due = Math.min(prepared.length, Math.floor(((performance.now() - began) * perSecond) / 1_000));
        for (let at = sentAt.length; at < due; at++) {
          sentAt.push(performance.now());
          head = prepared[at].position;
          send(prepared[at].frame);
        }
        await wait(1);
      }
      const reached = prepared.length / ((performance.now() - began) / 1_000);
      const last = prepared.at(-1).position.version;
      for (const until = performance.now() + 20_000; held < last; await wait(5)) {
        if (performance.now() > until) throw new Error("The router did not acknowledge all changes");
      }
      const ms = prepared.map(({ position }, n) => heldAt.get(position.version) - sentAt[n]);
      heldAt.clear();
      return { ms, reached };
    },
    async close() {
      clearInterval(beat);
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
}
