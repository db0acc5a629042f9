import { request } from "node:http";
import { connect, type NetConnectOpts, type Socket } from "node:net";

/** Asks a component whether it really works. @returns why not, or undefined when healthy */
export type Probe = (timeoutMs: number) => Promise<string | undefined>;

/**
 * Asks for a connection and waits for PostgreSQL to name a way to log in, which a backend does once it was forked and
 * recovery is over. No password is needed, and a full server still counts as up.
 */
export function probePostgres(socketDir: string): Probe {
  const hello = Buffer.from("\0\0\0\0\0\x03\0\0user\0stampyard_app\0database\0app\0\0", "latin1");
  hello.writeInt32BE(hello.length, 0);
  return (timeoutMs) =>
    exchange({ path: `${socketDir}/.s.PGSQL.5432` }, timeoutMs, (socket, received, done) => {
      if (received.length === 0) socket.write(hello);
      else if (received[0] === 0x52) done(undefined);
      else if (/C57P03|the database system is/.test(received.toString("latin1"))) done("it is still starting");
      else if (received.length > 5) done(undefined);
    });
}

export function probeRedis(socketPath: string, password: string): Probe {
  return (timeoutMs) =>
    exchange({ path: socketPath }, timeoutMs, (socket, received, done) => {
      if (received.length === 0) socket.write(`AUTH ${password}\r\nPING\r\n`);
      else if (received.includes("+PONG")) done(undefined);
      else if (received.includes("-LOADING")) done("it is still loading its data");
      else if (received.includes("-WRONGPASS") || received.includes("-NOAUTH")) done("it refuses our password");
    });
}

export function probeNats(port: number, password: string): Probe {
  const hello = `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, user: "stampyard", pass: password, lang: "stampyard", version: "1" })}\r\nPING\r\n`;
  return (timeoutMs) =>
    exchange({ port, host: "127.0.0.1" }, timeoutMs, (socket, received, done) => {
      const text = received.toString("latin1");
      if (text.includes("PONG\r\n")) done(undefined);
      else if (text.includes("-ERR")) done("it refuses our password");
      else if (text.startsWith("INFO ") && text.endsWith("\r\n") && !text.includes("PONG")) socket.write(hello);
    });
}

export function probeTcp(port: number): Probe {
  return (timeoutMs) =>
    new Promise((settle) => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.setTimeout(timeoutMs, () => finish(`port ${port} does not answer within ${timeoutMs} ms`));
      socket.once("connect", () => finish(undefined));
      socket.once("error", () => finish(`nothing listens on port ${port}`));
      const finish = (why: string | undefined) => {
        socket.destroy();
        settle(why);
      };
    });
}

export function probeHttp(port: number, path: string): Probe {
  return (timeoutMs) =>
    new Promise((settle) => {
      const headers = { host: `127.0.0.1:${port}`, "user-agent": "stampyard-health", connection: "close" };
      const asked = request({ host: "127.0.0.1", port, path, headers, agent: false }, (response) => {
        response.resume();
        const { statusCode = 0 } = response;
        settle(statusCode >= 200 && statusCode < 400 ? undefined : `${path} answers ${statusCode}`);
      });
      asked.setTimeout(timeoutMs, () => asked.destroy(new Error(`${path} does not answer within ${timeoutMs} ms`)));
      asked.once("error", (error: NodeJS.ErrnoException) =>
        settle(error.code === "ECONNREFUSED" ? `nothing listens on port ${port}` : error.message),
      );
      asked.end();
    });
}

type Talk = (socket: Socket, received: Buffer, done: (why: string | undefined) => void) => void;

/** One short talk over a socket: `talk` is called at the connect and with all that came, until it says done. */
function exchange(where: NetConnectOpts, timeoutMs: number, talk: Talk): Promise<string | undefined> {
  return new Promise((settle) => {
    const socket = connect(where);
    let received = Buffer.alloc(0);
    const done = (why: string | undefined) => {
      socket.destroy();
      settle(why);
    };
    socket.setTimeout(timeoutMs, () => done(`it does not answer within ${timeoutMs} ms`));
    socket.once("error", () => done("nothing listens on its socket"));
    socket.once("close", () => settle("it closed the connection"));
    socket.once("connect", () => talk(socket, received, done));
    socket.on("data", (part: Buffer) => {
      received = Buffer.concat([received, part]);
      if (received.length > 65_536) done("it sends something else");
      else talk(socket, received, done);
    });
  });
}
