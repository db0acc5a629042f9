import { createHash } from "node:crypto";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type SilentListener, startSilentListener } from "./silent-listener.ts";

/** How a stamp fails. Each is something that happened to somebody's production. */
export const faults = [
  "refuses connections",
  "drops every attempt to connect",
  "resets connections",
  "accepts and hangs",
  "answers late",
  "sends its head slowly",
  "sends its body slowly",
  "talks garbage",
  "closes early",
  "answers 500",
  "sends bodies without end",
  "takes two connections only",
  "closes half",
  "flaps",
  "poisons its connections",
  "floods with 1xx",
] as const;
/** The last one takes all of a machine, so it is not for tests that measure others beside it. */
export type Fault = (typeof faults)[number] | "sends bodies at full speed";

/**
 * A stamp whose fault can be set while it runs. Healthy, it answers each request with its own name, and each frame of a
 * WebSocket too.
 */
export interface FaultyStamp {
  readonly name: string;
  readonly port: number;
  readonly requests: () => number;
  /** Bytes of bodies without end that were taken from the stamp so far. */
  readonly poured: () => number;
  /** Resolves with why this machine cannot make the fault; undefined = it is made. */
  break(fault: Fault): Promise<string | undefined>;
  heal(): Promise<void>;
  stop(): Promise<void>;
}

interface State {
  readonly name: string;
  readonly sockets: Set<Socket>;
  readonly timers: Set<NodeJS.Timeout>;
  fault: Fault | undefined;
  flapping: boolean;
  requests: number;
  poured: number;
}

export async function startFaultyStamp(name: string): Promise<FaultyStamp> {
  const state: State = {
    name,
    sockets: new Set(),
    timers: new Set(),
    fault: undefined,
    flapping: false,
    requests: 0,
    poured: 0,
  };
  let server = await listen(state, 0);
  const { port } = server.address() as AddressInfo;
  let flap: NodeJS.Timeout | undefined;
  let silent: SilentListener | undefined;

  const settle = async (fault: Fault | undefined) => {
    clearInterval(flap);
    state.fault = fault;
    state.flapping = false;
    for (const timer of state.timers) clearInterval(timer);
    state.timers.clear();
    for (const socket of state.sockets) socket.destroy();
    await silent?.stop();
    silent = undefined;
    if (fault === "refuses connections" || fault === "drops every attempt to connect") {
      await close(server);
      if (fault === "refuses connections") return undefined;
      silent = await startSilentListener(port);
      return silent.trouble;
    }
    if (!server.listening) server = await listen(state, port);
    if (fault === "flaps") {
      flap = setInterval(() => {
        state.flapping = !state.flapping;
        if (state.flapping) for (const socket of state.sockets) socket.resetAndDestroy();
      }, 20);
    }
    return undefined;
  };
  return {
    name,
    port,
    requests: () => state.requests,
    poured: () => state.poured,
    break: (fault) => settle(fault),
    heal: async () => void (await settle(undefined)),
    async stop() {
      await settle(undefined);
      await close(server);
    },
  };
}

function listen(state: State, port: number): Promise<Server> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => accept(state, socket));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function accept(state: State, socket: Socket): void {
  const { sockets, fault } = state;
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => {});
  socket.on("end", () => socket.end());
  if (fault === "resets connections" || (fault === "flaps" && state.flapping)) return void socket.resetAndDestroy();
  if (fault === "takes two connections only" && sockets.size > 2) return void socket.destroy();
  let pending = "";
  let tunnel = false;
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    pending += text;
    if (tunnel) {
      for (; pending.length >= clientFrame; pending = pending.slice(clientFrame))
        socket.write(frame(state.name), "latin1");
      return;
    }
    for (let end = pending.indexOf("\r\n\r\n"); end >= 0; end = pending.indexOf("\r\n\r\n")) {
      const key = /^sec-websocket-key: *(.+?)\r$/im.exec(pending.slice(0, end + 2))?.[1];
      pending = pending.slice(end + 4);
      state.requests += 1;
      answer(state, socket, key === undefined ? undefined : switchTo(key));
      tunnel = key !== undefined;
    }
  });
}

/** Every frame of our clients has a payload of two bytes and a mask. */
const clientFrame = 8;

function frame(payload: string): string {
  return `\x81${String.fromCharCode(payload.length)}${payload}`;
}

function switchTo(key: string): string {
  // RFC 6455 section 4.2.2.
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

/** @param switched the right answer to a request for a WebSocket */
function answer(state: State, socket: Socket, switched: string | undefined): void {
  const { fault, name } = state;
  const good = switched ?? `HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`;
  switch (fault) {
    case undefined:
    case "refuses connections":
    case "drops every attempt to connect":
    case "resets connections":
    case "takes two connections only":
    case "flaps":
      socket.write(good);
      return;
    case "accepts and hangs":
      return;
    case "answers late": {
      const timer = setTimeout(() => {
        state.timers.delete(timer);
        socket.write(good);
      }, 800);
      state.timers.add(timer);
      return;
    }
    case "sends its head slowly":
      drip(state, socket, good, 50);
      return;
    case "sends its body slowly":
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
      drip(state, socket, "x".repeat(1_000), 50);
      return;
    case "talks garbage":
      socket.write(Buffer.alloc(256, "\x00\xffgarbage\r\n\r\n", "latin1"));
      return;
    case "closes early":
      socket.end("HTTP/1.1 200 OK\r\nContent-Le");
      return;
    case "answers 500":
      socket.write("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops");
      return;
    case "sends bodies without end":
      if (switched !== undefined) {
        socket.write(switched);
        drip(state, socket, frame("x".repeat(100)).repeat(160), 20, true);
        return;
      }
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      drip(state, socket, "4000\r\n".padEnd(0x4006, "x").concat("\r\n"), 20, true);
      return;
    case "sends bodies at full speed":
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      pourForever(state, socket);
      return;
    case "closes half":
      // Our side is over, and the other is never read to its end.
      socket.end();
      socket.pause();
      return;
    case "poisons its connections":
      socket.write(
        `HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON`,
      );
      return;
    case "floods with 1xx":
      socket.write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(2_000));
      return;
  }
}

/** A byte now and then, or the whole again and again. */
function drip(state: State, socket: Socket, text: string, everyMs: number, repeated = false): void {
  let at = 0;
  const timer = setInterval(() => {
    if (at >= text.length || socket.destroyed) {
      clearInterval(timer);
      state.timers.delete(timer);
      return;
    }
    if (repeated) {
      // What the other side does not take waits there, not here.
      if (!socket.writableNeedDrain) socket.write(text, "latin1");
      return;
    }
    socket.write(text[at] ?? "", "latin1");
    at += 1;
  }, everyMs);
  state.timers.add(timer);
}

/** As fast as the other side takes it, which is what back-pressure is for. */
function pourForever(state: State, socket: Socket): void {
  const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
  const pour = () => {
    while (!socket.destroyed) {
      state.poured += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  socket.on("drain", pour);
  pour();
}
