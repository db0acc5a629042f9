import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** How a stamp fails. Each is something that happened to somebody's production. */
export const faults = [
  "refuses connections",
  "resets connections",
  "accepts and hangs",
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

/** A stamp whose fault can be set while it runs. Healthy, it answers each request with its own name. */
export interface FaultyStamp {
  readonly name: string;
  readonly port: number;
  readonly requests: () => number;
  /** Bytes of bodies without end that were taken from the stamp so far. */
  readonly poured: () => number;
  break(fault: Fault): Promise<void>;
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

  const settle = async (fault: Fault | undefined) => {
    clearInterval(flap);
    state.fault = fault;
    state.flapping = false;
    for (const timer of state.timers) clearInterval(timer);
    state.timers.clear();
    for (const socket of state.sockets) socket.destroy();
    if (fault === "refuses connections") {
      await close(server);
      return;
    }
    if (!server.listening) server = await listen(state, port);
    if (fault === "flaps") {
      flap = setInterval(() => {
        state.flapping = !state.flapping;
        if (state.flapping) for (const socket of state.sockets) socket.resetAndDestroy();
      }, 20);
    }
  };
  return {
    name,
    port,
    requests: () => state.requests,
    poured: () => state.poured,
    break: (fault) => settle(fault),
    heal: () => settle(undefined),
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
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    pending += text;
    for (let end = pending.indexOf("\r\n\r\n"); end >= 0; end = pending.indexOf("\r\n\r\n")) {
      pending = pending.slice(end + 4);
      state.requests += 1;
      answer(state, socket);
    }
  });
}

function answer(state: State, socket: Socket): void {
  const { fault, name } = state;
  const good = `HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`;
  switch (fault) {
    case undefined:
    case "refuses connections":
    case "resets connections":
    case "takes two connections only":
    case "flaps":
      socket.write(good);
      return;
    case "accepts and hangs":
      return;
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
      socket.write(`${good}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON`);
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
      if (!socket.writableNeedDrain) socket.write(text);
      return;
    }
    socket.write(text[at] ?? "");
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
