import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveBinaries } from "@stampyard/engines";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type NatsAddress, waitingInNats } from "./nats-lag.ts";

/** A real server: what waits in it must be what its own clients left undone. */
let folder: string;
let nats: ChildProcess;
let address: NatsAddress;

beforeAll(async () => {
  const [resolved] = await resolveBinaries({ kinds: ["nats"] });
  if (resolved === undefined || "error" in resolved) throw resolved?.error;
  const { path, libraries } = resolved.found;
  folder = mkdtempSync(join(tmpdir(), "stampyard-nats-lag-"));
  const port = await freePort();
  address = { host: "127.0.0.1", port, user: "stampyard", password: "pw" };
  const listen = ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", folder];
  nats = spawn(path, [...listen, "--user", "stampyard", "--pass", "pw"], {
    stdio: "ignore",
    env: { ...(libraries === undefined ? {} : { LD_LIBRARY_PATH: libraries }) },
  });
}, 60_000);
afterAll(async () => {
  if (nats === undefined) return;
  const ended = new Promise((resolve) => nats.once("exit", resolve));
  nats.kill();
  await ended;
  rmSync(folder, { recursive: true, force: true });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** As a client of the application: sends to subjects, and ends when the server has taken all of it. */
function publish(messages: readonly (readonly [string, string])[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(address.port, "127.0.0.1");
    let said = "";
    socket.on("error", reject);
    socket.on("data", (part: Buffer) => {
      said += part.toString();
      if (!said.includes("PONG")) return;
      socket.destroy();
      resolve();
    });
    const words = messages.map(([subject, body]) => `PUB ${subject} reply ${Buffer.byteLength(body)}\r\n${body}\r\n`);
    socket.write(`CONNECT {"user":"stampyard","pass":"pw","verbose":false}\r\n${words.join("")}PING\r\n`);
  });
}

const streamOf = (name: string) => JSON.stringify({ name, subjects: [`${name}.>`], storage: "memory" });
const consumerOf = (name: string) =>
  JSON.stringify({ stream_name: name, config: { durable_name: "worker", ack_policy: "explicit" } });

test("waitingInNats() counts what consumers of all streams have not finished", async () => {
  const look = () => waitingInNats(address, 1_000).catch((error: Error) => error.message);
  await expect.poll(look, { timeout: 20_000 }).toBe(0);
  for (const name of ["jobs", "mails"]) {
    await publish([[`$JS.API.STREAM.CREATE.${name}`, streamOf(name)]]);
    await publish([[`$JS.API.CONSUMER.DURABLE.CREATE.${name}.worker`, consumerOf(name)]]);
  }
  await publish(Array.from({ length: 7 }, () => ["jobs.a", "x".repeat(2_000)] as const));
  await publish([["mails.b", "one"]]);
  await expect.poll(() => waitingInNats(address, 2_000)).toBe(8);
});

test("waitingInNats() throws where nobody answers as a server with JetStream does", async () => {
  await expect(waitingInNats({ ...address, password: "no" }, 2_000)).rejects.toThrow(/Authorization/);
  await expect(waitingInNats({ ...address, port: await freePort() }, 2_000)).rejects.toThrow(/ECONNREFUSED/);
});
