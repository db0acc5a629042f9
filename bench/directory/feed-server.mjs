/**
 * A control plane of the feed only: it sends changes by the clock, and keeps when the router said that they hold. It
 * shares its core with the load, so it works as hard in the quiet slices: then a sink reads the changes, and answers as a
 * router would.
 */
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { encodeFrame, nextChain } from "../../packages/directory/dist/index.js";
import { wait } from "../router/processes.mjs";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

/** Brings a heartbeat to the size of a change. */
const fillerBytes = 120;

export async function startFeedServer(position) {
  let head = position;
  const followers = new Set();
  const sinks = new Set();
  const heldAt = new Map();
  let acks = 0;
  let held = position.version;
  const server = createServer((request, response) => {
    if (request.url.startsWith("/v1/directory/feed")) {
      response.writeHead(200, { "content-type": "application/vnd.stampyard.feed" });
      response.write(encodeFrame({ kind: "hello", mode: "normal", heartbeatMs: 1_000, ...head }));
      const kind = request.url.includes("router=sink") ? sinks : followers;
      kind.add(response);
      response.on("close", () => kind.delete(response));
      return;
    }
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (part) => {
      text += part;
    });
    request.on("end", () => {
      response.writeHead(204).end();
      if (!request.url.startsWith("/v1/directory/ack") || text.includes('"router":"sink"')) return;
      acks += 1;
      // What is acknowledged holds with all before it: applied, and on the router's disk.
      for (const { version } = JSON.parse(text); held < version; ) heldAt.set(++held, performance.now());
    });
  });
  const beat = setInterval(() => send(followers, encodeFrame({ kind: "heartbeat", ...head })), 1_000);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  const sink = fork(new URL("feed-sink.mjs", import.meta.url), [url], { stdio: "ignore" });
  await new Promise((resolve) => sink.once("message", resolve));
  /** Sends them at this rate; gives how long each took to hold, in milliseconds, and the rate that was reached. */
  const play = async (prepared, perSecond) => {
    const began = performance.now();
    const sentAt = [];
    await byClock(prepared.length, perSecond, (at) => {
      sentAt.push(performance.now());
      head = prepared[at].position;
      send(followers, prepared[at].frame);
    });
    const reached = prepared.length / ((performance.now() - began) / 1_000);
    const last = prepared.at(-1).position.version;
    for (const until = performance.now() + 20_000; held < last; await wait(5)) {
      if (performance.now() > until) throw new Error("The router did not acknowledge all changes");
    }
    const ms = prepared.map(({ position }, n) => heldAt.get(position.version) - sentAt[n]);
    heldAt.clear();
    return { ms, reached };
  };
  return {
    url,
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
    /** The same work for this core, and none for the router: as many frames of the same size, read by the sink. */
    async idle(count, perSecond) {
      const frame = encodeFrame({ kind: "heartbeat", ...head, filler: "x".repeat(fillerBytes) });
      await byClock(count, perSecond, () => send(sinks, frame));
    },
    play,
    async close() {
      clearInterval(beat);
      sink.kill();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
}

function send(readers, frame) {
  for (const reader of readers) reader.write(frame);
}

/** So many calls at this rate, whatever a timer's delay. */
async function byClock(count, perSecond, call) {
  const began = performance.now();
  for (let done = 0; done < count; await wait(1)) {
    const due = Math.min(count, Math.floor(((performance.now() - began) * perSecond) / 1_000));
    for (; done < due; done++) call(done);
  }
}
