import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningRouter } from "../router.ts";
import { answerWho, ask, askRaw, eventually, makeTestBed, type TestBed, tenantPut } from "../test-bed/test-bed.ts";

let bed: TestBed;
let router: RunningRouter;
let port: number;

beforeEach(async () => {
  bed = await makeTestBed();
  router = await bed.start();
  port = router.listenPort;
  await eventually(async () => expect((await ask(port)).status).toBe(200));
  for (const stamp of bed.stamps) stamp.seen.length = 0;
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: acme.localhost\r\n${more}\r\n`;

/** Puts a stamp that speaks raw bytes in the place of acme's home. */
async function rawStamp(onRequest: (socket: Socket, text: string, connection: number) => void): Promise<Server> {
  let connections = 0;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    const mine = connections;
    open.add(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk) => onRequest(socket, String(chunk), mine));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  bed.own({
    stop: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  });
  const endpoints = [{ host: "127.0.0.1", port: address.port }];
  bed.controlPlane.change({ kind: "stamp-put", stamp: "eu-1", pool: "p", region: "r", endpoints, endpointRevision: 9 });
  await eventually(async () => {
    await ask(port, { path: "/raw" }).catch(() => {});
    expect(connections).toBeGreaterThan(0);
  });
  return server;
}

const ok = (body: string, more = "") => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;

describe("client connections", () => {
  test("a head and a body may come byte by byte", async () => {
    bed.stamps[0].handler = (request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += String(chunk);
      });
      request.on("end", () => response.end(`got ${body}`));
    };
    const bytes =
      "POST /a HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n";
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let text = "";
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    for (const byte of bytes) await new Promise<void>((resolve) => socket.write(byte, () => setImmediate(resolve)));
    await eventually(() => expect(text).toContain("got abcde"));
    socket.destroy();
  });

  test("HTTP/1.0 gets its answer without chunks, and the connection ends", async () => {
    bed.stamps[0].handler = (_request, response) => {
      response.write("part ".repeat(3_000));
      response.end("end");
    };
    const text = await askRaw(port, "GET / HTTP/1.0\r\nHost: acme.localhost\r\n\r\n");
    expect(text.toLowerCase()).not.toContain("transfer-encoding");
    expect(text.endsWith("part end")).toBe(true);
  });

  test("answers to HEAD and 304 have no body, and the connection goes on", async () => {
    bed.stamps[0].handler = (request, response) => {
      if (request.method === "HEAD") response.writeHead(200, { "content-length": "5" }).end();
      else if (request.url === "/304") response.writeHead(304, { etag: '"x"' }).end();
      else response.end("hello");
    };
    const head = "HEAD / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    const text = await askRaw(port, `${head}${get("/304")}${get("/", "Connection: close\r\n")}`);
    const [first, second, third, body] = text.split("\r\n\r\n");
    expect(first).toContain("content-length: 5");
    expect(second).toContain("HTTP/1.1 304");
    expect(third).toContain("HTTP/1.1 200");
    expect(body).toBe("hello");
  });

  test("a thousand requests sent ahead are answered in their order, and the thousandth ends the connection", async () => {
    bed.stamps[0].handler = (request, response) => response.end(`<${request.url}>`);
    const text = await askRaw(port, Array.from({ length: 1_010 }, (_, n) => get(`/${n}`)).join(""));
    const paths = [...text.matchAll(/<\/(\d+)>/g)].map((match) => Number(match[1]));
    expect(paths).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
  });

  test("who sends a head slowly gets 408, who sends none is let go, and nobody else waits for them", async () => {
    const strict = await bed.start(
      { stateDir: `${bed.folder}/strict` },
      { timeouts: { connectMs: 500, idleMs: 5_000, headMs: 150, bodyIdleMs: 150 } },
    );
    const at = strict.listenPort;
    await eventually(async () => expect((await ask(at)).status).toBe(200));
    bed.stamps[0].handler = (request, response, stamp) => {
      if (request.method === "GET") answerWho(request, response, stamp);
    };
    const slow = askRaw(at, "GET / HTTP/1.1\r\nHost: acme.loc");
    const silent = askRaw(at, "");
    const half = askRaw(at, "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 10\r\n\r\nhalf");
    expect((await ask(at)).status).toBe(200);
    expect(await slow).toMatch(/^HTTP\/1\.1 408 /);
    expect(await silent).toBe("");
    expect(await half).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("says 103 on, keeps every other 1xx to itself", async () => {
    await rawStamp((socket) => {
      socket.write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
      socket.write(ok("done"));
    });
    const text = await askRaw(port, get("/", "Connection: close\r\n"));
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 200 OK/);
  });
});

describe("connections to stamps", () => {
  test("bytes behind an answer poison the connection and reach no client (I9, I10)", async () => {
    const used: number[] = [];
    await rawStamp((socket, text, connection) => {
      used.push(connection);
      socket.write(ok(`answer of ${/ (\S+) HTTP/.exec(text)?.[1]}`) + ok("POISON"));
    });
    used.length = 0;
    for (let n = 0; n < 5; n++) expect((await ask(port, { path: `/${n}` })).body).toBe(`answer of /${n}`);
    expect(new Set(used).size, "a connection each").toBe(5);
  });

  test("a kept connection is used again for the same stamp", async () => {
    const used: number[] = [];
    await rawStamp((socket, _text, connection) => {
      used.push(connection);
      socket.write(ok("x"));
    });
    used.length = 0;
    for (let n = 0; n < 5; n++) expect((await ask(port)).status).toBe(200);
    expect(new Set(used).size).toBe(1);
  });

  test.each([
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"],
    ["chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
  ])("a body with %s that is cut off never looks whole, for 1.0 neither", async (_, bytes) => {
    await rawStamp((socket) => {
      socket.write(bytes);
      setTimeout(() => socket.destroy(), 20);
    });
    await expect(ask(port)).rejects.toThrow();
    const reset = new Promise<string>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      let text = "";
      socket.on("data", (chunk) => {
        text += String(chunk);
      });
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      socket.on("end", () => resolve(`clean end after ${JSON.stringify(text)}`));
      socket.write("GET / HTTP/1.0\r\nHost: acme.localhost\r\n\r\n");
    });
    // With a length the client can count; without one only the reset tells.
    if (bytes.includes("chunked")) expect(await reset).toBe("ECONNRESET");
  });

  test("a stamp that is out is answered for in under 10 ms once that is known (I12)", async () => {
    await bed.stamps[1].stop();
    await eventually(async () => expect((await ask(port, { host: "globex.localhost" })).status).toBe(503));
    const times: number[] = [];
    for (let n = 0; n < 30; n++) {
      const began = performance.now();
      const answer = await ask(port, { host: "globex.localhost" });
      times.push(performance.now() - began);
      expect(answer.status).toBe(503);
      expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    }
    expect(times.sort((a, b) => a - b)[15]).toBeLessThan(10);
  });

  test("a tunnel ends when its tenant has moved to another home", async () => {
    bed.stamps[0].server.on("upgrade", (_request, socket: Socket) => {
      socket.on("error", () => {});
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
      );
    });
    const handshake = get(
      "/",
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    );
    const socket = connect(port, "127.0.0.1");
    let text = "";
    let ended = false;
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    socket.on("end", () => {
      ended = true;
    });
    socket.write(handshake);
    await eventually(() => expect(text).toContain("101 Switching"));
    bed.controlPlane.change(tenantPut("umbrella", "eu-2", 2));
    await eventually(async () =>
      expect((await ask(port, { host: "umbrella.localhost" })).json()["stamp"]).toBe("eu-2"),
    );
    expect(ended, "another tenant's move").toBe(false);
    bed.controlPlane.change(tenantPut("acme", "eu-2", 4, ["notes.acme.com"]));
    await eventually(() => expect(ended).toBe(true));
    socket.destroy();
  });
});

test("large answers of many stamps at once reach slow and fast clients unmixed (I9)", async () => {
  const size = 12_000_000;
  /** Every 16 bytes say whose they are and where. */
  const bodyOf = (path: string) => {
    const body = Buffer.alloc(size);
    for (let at = 0; at < size; at += 16) body.write(`${path}:${at}`.padEnd(16), at, "latin1");
    return body;
  };
  for (const stamp of bed.stamps) {
    stamp.handler = (request, response) => {
      const body = bodyOf(request.url ?? "");
      if (request.url?.endsWith("c") !== true) response.writeHead(200, { "content-length": size });
      // In pieces that fit into what a slow client's connection may hold without asking for a pause.
      const piece = (at: number) => {
        if (at >= size) return void response.end();
        response.write(body.subarray(at, at + 9_000));
        setImmediate(piece, at + 9_000);
      };
      piece(0);
    };
  }
  let fast = 0;
  const one = (n: number) =>
    new Promise<string>((resolve, reject) => {
      const host = n % 2 === 0 ? "acme.localhost" : "globex.localhost";
      const path = `/${n}${n % 3 === 0 ? "c" : ""}`;
      const socket = connect(port, "127.0.0.1");
      const parts: Buffer[] = [];
      socket.on("error", reject);
      socket.on("data", (chunk: Buffer) => {
        parts.push(chunk);
        // Slow ones make the router hold what it read, while the fast ones read on.
        if (n < 4 && fast < 4) {
          socket.pause();
          void eventually(() => expect(fast).toBe(4), 20_000).then(() => socket.resume(), reject);
        }
      });
      socket.on("close", () => {
        fast += n < 4 ? 0 : 1;
        const all = Buffer.concat(parts);
        const body = all.subarray(all.indexOf("\r\n\r\n") + 4);
        resolve(body.equals(bodyOf(path)) ? "same" : `other, ${body.length} bytes`);
      });
      // HTTP/1.0: the body comes as it is, with or without a length.
      socket.write(`GET ${path} HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
    });
  const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => one(n)));
  expect(answers).toEqual(answers.map(() => "same"));
}, 40_000);
