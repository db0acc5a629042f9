import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { type AddressInfo, connect, createServer } from "node:net";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { makePair } from "./test-bed/certificates.ts";
import { askRaw, eventually, makeTestBed, type TestBed } from "./test-bed/test-bed.ts";
import type { RunningRouter } from "./router.ts";

let folder: string;
let port: number;
let bed: TestBed;
let router: RunningRouter;
const opened: { destroy(): unknown }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stampyard-tls-"));
  await makePair(folder, "_wildcard.stamps.test", ["*.stamps.test"]);
  await makePair(folder, "notes.acme.com", ["notes.acme.com", "*.stamps.test"]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  bed = await makeBed();
  port = await freePort();
  await start({});
});
afterEach(async () => {
  for (const one of opened.splice(0)) one.destroy();
  await bed[Symbol.asyncDispose]();
});

/** A wildcard right below a top-level domain is believed by nobody. */
async function makeBed(): Promise<TestBed> {
  const made = await makeTestBed();
  made.controlPlane.change({ kind: "routing-put", routing: { domains: ["stamps.test"] } });
  return made;
}

async function start(config: { proxyPeers?: readonly string[] }): Promise<void> {
  router = await bed.start({ tls: { listen: { host: "127.0.0.1", port }, certificates: folder }, ...config });
  await eventually(async () => expect((await ask("acme.stamps.test")).status).toBe(200));
}

/** Nothing else listens there a moment later: the kernel gives ports out in turn. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: free } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return free;
}

interface Got {
  readonly status: number;
  readonly body: string;
  readonly reason: unknown;
}

function gotOf(status: number, body: string): Got {
  let reason: unknown;
  try {
    reason = JSON.parse(body).reason;
  } catch {
    reason = undefined;
  }
  return { status, body, reason };
}

/** HTTP/1.1 by TLS; the server name and the Host may differ. */
function ask(servername: string, host = servername, path = "/"): Promise<Got> {
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      servername,
      path,
      headers: { host },
      rejectUnauthorized: false,
      agent: false as const,
    };
    const request = httpsRequest(options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => resolve(gotOf(response.statusCode ?? 0, text)));
    });
    request.on("error", reject);
    request.end();
  });
}

function session(servername: string): ClientHttp2Session {
  const client = connectHttp2(`https://${servername}:${port}`, {
    createConnection: () => tls({ servername, ALPNProtocols: ["h2"] }),
  });
  client.on("error", () => {});
  opened.push(client);
  return client;
}

function ask2(
  client: ClientHttp2Session,
  authority: string,
  path = "/",
  body?: Buffer,
): Promise<Got & { code: number }> {
  return new Promise((resolve) => {
    const method = body === undefined ? "GET" : "POST";
    const stream = client.request(
      { ":authority": authority, ":path": path, ":method": method },
      { endStream: body === undefined },
    );
    let status = 0;
    let text = "";
    stream.setEncoding("utf8");
    stream.on("response", (headers) => {
      status = Number(headers[":status"]);
    });
    stream.on("data", (chunk: string) => {
      text += chunk;
    });
    stream.on("error", () => {});
    stream.on("close", () => resolve({ ...gotOf(status, text), code: stream.rstCode ?? 0 }));
    if (body !== undefined) stream.end(body);
  });
}

function tls(options: ConnectionOptions): TLSSocket {
  const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
  socket.on("error", () => {});
  opened.push(socket);
  return socket;
}

/** The common name of the certificate, or what the handshake ended with. */
function handshake(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls(options);
    socket.once("secureConnect", () => resolve(`${socket.getPeerCertificate().subject.CN} ${socket.getProtocol()}`));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once("close", () => resolve("closed"));
  });
}

const seen = () => bed.stamps[0].seen;

test("TLS clients get the certificate of the host they name, and are served like others", async () => {
  expect(await handshake({ servername: "acme.stamps.test" })).toBe("_wildcard.stamps.test TLSv1.3");
  expect(await handshake({ servername: "NOTES.acme.com" })).toBe("notes.acme.com TLSv1.3");
  expect(await ask("acme.stamps.test")).toMatchObject({
    status: 200,
    body: expect.stringContaining('"tenant":"acme"'),
  });
  expect(await ask("notes.acme.com")).toMatchObject({ status: 200 });
  expect(seen().at(-1)?.headers).toMatchObject({ "x-forwarded-proto": "https", "x-forwarded-for": "127.0.0.1" });
});

test("a handshake is refused without a certificate for the host, below TLS 1.2, and with a name of nonsense", async () => {
  expect(await handshake({ servername: "globex.example.org" })).not.toContain("TLSv");
  expect(await handshake({ servername: "" })).not.toContain("TLSv");
  expect(
    await handshake({
      servername: "acme.stamps.test",
      maxVersion: "TLSv1.1",
      minVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    }),
  ).not.toContain("TLSv1");
  expect(await handshake({ servername: "acme.stamps.test", maxVersion: "TLSv1.2" })).toBe(
    "_wildcard.stamps.test TLSv1.2",
  );
  for (const servername of ["__proto__", "a..b", "x".repeat(250), "\u0001"]) {
    expect(await handshake({ servername }).catch(() => "refused"), servername).not.toContain("TLSv");
  }
  expect(await handshake({ servername: "acme.stamps.test", ALPNProtocols: ["spdy/3"] })).not.toContain("TLSv");
  expect((await ask("acme.stamps.test")).status).toBe(200);
});

test("a connection for one tenant's host carries no request for another's (421)", async () => {
  expect(await ask("acme.stamps.test", "globex.stamps.test")).toMatchObject({ status: 421, reason: "misdirected" });
  // Of the same tenant, but another certificate was shown.
  expect(await ask("acme.stamps.test", "notes.acme.com")).toMatchObject({ status: 421 });
  const client = session("acme.stamps.test");
  expect(await ask2(client, "globex.stamps.test")).toMatchObject({ status: 421, reason: "misdirected" });
  expect(await ask2(client, "acme.stamps.test")).toMatchObject({ status: 200 });
  // The same certificate and the same tenant, as browsers join connections.
  bed.controlPlane.change({
    kind: "tenant-put",
    tenant: "acme",
    stamp: "eu-1",
    epoch: 3,
    hostnames: ["notes.acme.com", "alias.stamps.test"],
  });
  bed.controlPlane.change({ kind: "tenant-put", tenant: "umbrella", stamp: "eu-1", epoch: 1, hostnames: [] });
  expect(await ask2(client, "umbrella.stamps.test")).toMatchObject({ status: 421 });
  expect(seen().every(({ headers }) => headers.host === "acme.stamps.test" || headers.host === undefined)).toBe(true);
});

test("no session is resumed, by its own host or another's", async () => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const first = tls({ servername: "acme.stamps.test", maxVersion });
    let ticket: Buffer | undefined;
    first.on("session", (data) => {
      ticket = data;
    });
    await new Promise((resolve) => first.once("secureConnect", resolve));
    first.write("GET / HTTP/1.1\r\nHost: acme.stamps.test\r\nConnection: close\r\n\r\n");
    first.resume();
    await new Promise((resolve) => first.once("close", resolve));
    const kept = ticket ?? first.getSession();
    for (const servername of ["acme.stamps.test", "globex.stamps.test"]) {
      const again = tls({ servername, maxVersion, ...(kept === undefined ? {} : { session: kept }) });
      await new Promise((resolve) => again.once("secureConnect", resolve));
      expect(again.isSessionReused(), `${maxVersion} ${servername}`).toBe(false);
    }
  }
});

test("HTTP/2 goes the same way as HTTP/1.1: routing, signing, bodies, refusals", async () => {
  const client = session("acme.stamps.test");
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) => ask2(client, "acme.stamps.test", `/p${index}?q`)),
  );
  for (const [index, { status, body }] of answers.entries()) {
    expect([status, JSON.parse(body)]).toMatchObject([
      200,
      { stamp: "eu-1", verdict: { tenant: "acme" }, url: `/p${index}?q` },
    ]);
  }
  bed.stamps[0].handler = (request, response) => {
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on("end", () => response.end(`${bytes} ${request.headers["transfer-encoding"]}`));
  };
  expect(await ask2(client, "acme.stamps.test", "/up", Buffer.alloc(1_000_000))).toMatchObject({
    body: "1000000 chunked",
  });
  expect(await ask2(session("nobody.stamps.test"), "nobody.stamps.test")).toMatchObject({
    status: 404,
    reason: "unknown-tenant",
  });
  expect(seen().at(-1)?.headers).toMatchObject({ "x-forwarded-proto": "https", host: "acme.stamps.test" });
});

test("an answer that a stamp breaks off is reset over HTTP/2, and cut over HTTP/1.1 by TLS", async () => {
  for (const head of ["content-length: 100", "x-chunked: yes", "connection: close"]) {
    bed.stamps[0].handler = (_request, response) => {
      const [name = "", value = ""] = head.split(": ");
      response.writeHead(200, { [name]: value });
      response.write("part");
      setImmediate(() => response.destroy());
    };
    if (head !== "connection: close") {
      const got = await ask2(session("acme.stamps.test"), "acme.stamps.test");
      expect([got.status, got.code], head).toEqual([200, 2]);
      await expect(ask("acme.stamps.test"), head).rejects.toThrow();
    }
    // Without a length HTTP/1.0 sees only a reset; it must not end the process on a TLS socket.
    const old = tls({ servername: "acme.stamps.test" });
    old.resume();
    old.write("GET / HTTP/1.0\r\nHost: acme.stamps.test\r\n\r\n");
    await new Promise((resolve) => old.once("close", resolve));
  }
});

test("a WebSocket passes by TLS, and its tunnel ends when its tenant moves", async () => {
  bed.stamps[0].server.on("upgrade", (_request, socket) => {
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
    );
    socket.pipe(socket);
  });
  const socket = tls({ servername: "acme.stamps.test" });
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    text += chunk;
  });
  socket.write(
    "GET / HTTP/1.1\r\nHost: acme.stamps.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await eventually(() => expect(text).toContain("hello"));
  socket.write("ping");
  await eventually(() => expect(text).toContain("ping"));
  bed.controlPlane.change({ kind: "tenant-put", tenant: "acme", stamp: "eu-2", epoch: 4, hostnames: [] });
  await new Promise((resolve) => socket.once("close", resolve));
});

test("new certificates are for new connections, and connections that stand go on", async () => {
  const client = session("acme.stamps.test");
  expect((await ask2(client, "acme.stamps.test")).status).toBe(200);
  const before = await readFile(join(folder, "_wildcard.stamps.test.crt"), "utf8");
  await makePair(folder, "_wildcard.stamps.test", ["*.stamps.test"], "renewed");
  expect(await readFile(join(folder, "_wildcard.stamps.test.crt"), "utf8")).not.toBe(before);
  router.reopenLogs();
  await eventually(async () => expect(await handshake({ servername: "acme.stamps.test" })).toBe("renewed TLSv1.3"));
  expect((await ask2(client, "acme.stamps.test")).status).toBe(200);
  await makePair(folder, "_wildcard.stamps.test", ["*.stamps.test"]);
});

test("a PROXY protocol header is needed from listed peers, and its address is the client's", async () => {
  await bed[Symbol.asyncDispose]();
  bed = await makeBed();
  port = await freePort();
  router = await bed.start({
    proxyPeers: ["127.0.0.0/8"],
    tls: { listen: { host: "127.0.0.1", port }, certificates: folder },
  });
  const request = "GET / HTTP/1.1\r\nHost: acme.stamps.test\r\nConnection: close\r\n\r\n";
  const header = "PROXY TCP4 203.0.113.7 192.0.2.2 5000 443\r\n";
  await eventually(async () => expect(await askRaw(router.listenPort, header + request)).toContain("200 OK"));
  expect(seen().at(-1)?.headers["x-forwarded-for"]).toBe("203.0.113.7");
  const v2 = Buffer.concat([
    Buffer.from("0d0a0d0a000d0a515549540a2111000c", "hex"),
    Buffer.from([198, 51, 100, 9, 1, 1, 1, 1, 0, 1, 0, 2]),
  ]);
  expect(await askRaw(router.listenPort, Buffer.concat([v2, Buffer.from(request)]))).toContain("200 OK");
  expect(seen().at(-1)?.headers["x-forwarded-for"]).toBe("198.51.100.9");
  for (const bytes of [request, `PROXY TCP4 1.2.3.4\r\n${request}`, `${header.slice(0, -2)}\n${request}`]) {
    expect(await askRaw(router.listenPort, bytes)).toBe("");
  }

  // The same before a handshake, in one piece with its first bytes, as a balancer sends it.
  const balancer = createServer((client) => {
    const raw = connect(port, "127.0.0.1");
    opened.push(raw, client);
    for (const side of [raw, client]) side.on("error", () => {});
    client.once("data", (bytes) => {
      raw.write(Buffer.concat([Buffer.from(header), bytes]));
      client.pipe(raw);
    });
    raw.pipe(client);
  });
  await new Promise<void>((resolve) => balancer.listen(0, "127.0.0.1", resolve));
  opened.push({ destroy: () => balancer.close() });
  const secure = tls({ port: (balancer.address() as AddressInfo).port, servername: "acme.stamps.test" });
  let text = "";
  secure.on("data", (chunk) => {
    text += String(chunk);
  });
  secure.write(request);
  await new Promise((resolve) => secure.once("close", resolve));
  expect(text).toContain("200 OK");
  expect(seen().at(-1)?.headers).toMatchObject({ "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https" });
});

test("a PROXY protocol header of anybody else is refused, by either door", async () => {
  const header = "PROXY TCP4 203.0.113.7 192.0.2.2 5000 443\r\n";
  const count = seen().length;
  expect(await askRaw(router.listenPort, `${header}GET / HTTP/1.1\r\nHost: acme.stamps.test\r\n\r\n`)).toMatch(
    /^HTTP\/1\.1 (?:400|405|505) /,
  );
  expect(await askRaw(port, `${header}GET / HTTP/1.1\r\nHost: acme.stamps.test\r\n\r\n`)).not.toContain("HTTP");
  expect(seen()).toHaveLength(count);
});

test("half a handshake or half a header keeps nobody from closing", async () => {
  const idle = connect(port, "127.0.0.1");
  opened.push(idle);
  idle.on("error", () => {});
  idle.write(Buffer.from("160301", "hex"));
  const waiting = session("acme.stamps.test");
  expect((await ask2(waiting, "acme.stamps.test")).status).toBe(200);
  const begun = performance.now();
  await router.close();
  expect(performance.now() - begun).toBeLessThan(3_000);
});
