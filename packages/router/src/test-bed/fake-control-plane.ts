import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  chainStart,
  createDirectory,
  type Directory,
  type DirectoryChange,
  type DirectoryReport,
  type DirectoryVersion,
  encodeFrame,
  entranceHeader,
  type FeedMessage,
  type FeedPosition,
  nextChain,
  snapshotMessages,
} from "@stampyard/directory";
import { sha256 } from "../directory-files.ts";
import type { CountsReport } from "../control-plane.ts";
import type { StampKeys } from "../route-signer.ts";

/** A control plane of the feed only: a history, its head, and who follows it. */
export interface FakeControlPlane {
  readonly url: string;
  readonly port: number;
  /** What routers asked with, in order. */
  readonly asked: FeedPosition[];
  /** Where each of them said that clients enter. */
  readonly entrances: (string | undefined)[];
  readonly acknowledged: (FeedPosition & { router: string })[];
  readonly reports: DirectoryReport[];
  /** What routers counted, newest last. */
  readonly counts: CountsReport[];
  /** Answered to counts. undefined = it knows no such thing. @default the answer of one that says nothing */
  onCounts: (() => { readonly status: number; readonly body: unknown }) | undefined;
  readonly authorizations: (string | undefined)[];
  head(): FeedPosition;
  /** The whole history. */
  changes(): readonly DirectoryChange[];
  change(...changes: DirectoryChange[]): void;
  setKeys(stamp: string, keys: StampKeys): void;
  /** Sends any message to all followers. */
  send(message: FeedMessage): void;
  /** Replaces the whole history, as a restored backup would. */
  restore(options: { incarnation: number; changes: readonly DirectoryChange[]; mode?: "normal" | "recovering" }): void;
  /** Ends all connections and listens no more. */
  stop(): Promise<void>;
}

interface World {
  incarnation: number;
  mode: "normal" | "recovering";
  versions: DirectoryVersion[];
  table: Directory;
  readonly keys: Map<string, StampKeys>;
  readonly followers: Set<ServerResponse>;
}

export async function startFakeControlPlane(port = 0): Promise<FakeControlPlane> {
  const world: World = {
    incarnation: 1,
    mode: "normal",
    versions: [],
    table: createDirectory(),
    keys: new Map(),
    followers: new Set(),
  };
  const fake = {
    asked: [] as FeedPosition[],
    entrances: [] as (string | undefined)[],
    acknowledged: [] as (FeedPosition & { router: string })[],
    reports: [] as DirectoryReport[],
    counts: [] as CountsReport[],
    onCounts: (() => ({ status: 200, body: {} })) as FakeControlPlane["onCounts"],
    authorizations: [] as (string | undefined)[],
  };
  const server = createServer((request, response) => {
    fake.authorizations.push(request.headers.authorization);
    const url = new URL(request.url ?? "/", "http://fake");
    if (url.pathname === "/v1/directory/feed") {
      const from = {
        incarnation: Number(url.searchParams.get("incarnation")),
        version: Number(url.searchParams.get("version")),
        chain: url.searchParams.get("chain") ?? "",
      };
      fake.asked.push(from);
      fake.entrances.push(request.headers[entranceHeader]?.toString());
      serveFeed(world, from, response);
      return;
    }
    void readJson(request).then((body) => {
      if (url.pathname === "/v1/feed/counts") {
        fake.counts.push(body as CountsReport);
        const { status, body: answer } = control.onCounts?.() ?? { status: 404, body: {} };
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
        return;
      }
      if (url.pathname === "/v1/directory/ack") fake.acknowledged.push(body as FeedPosition & { router: string });
      if (url.pathname === "/v1/directory/report") fake.reports.push(body as DirectoryReport);
      response.writeHead(204).end();
    });
  });
  await listen(server, port);
  const beat = setInterval(() => broadcast(world, { kind: "heartbeat", ...headOf(world) }), 100);
  const bound = (server.address() as AddressInfo).port;
  const control: FakeControlPlane = {
    ...fake,
    port: bound,
    url: `http://127.0.0.1:${bound}`,
    head: () => headOf(world),
    changes: () => world.versions.map((version) => version.change),
    change: (...changes) => {
      for (const change of changes) append(world, change);
    },
    setKeys(stamp, keys) {
      world.keys.set(stamp, keys);
      broadcast(world, { kind: "keys", stamp, keys });
    },
    send: (message) => broadcast(world, message),
    restore({ incarnation, changes, mode = "normal" }) {
      world.incarnation = incarnation;
      world.mode = mode;
      world.versions = [];
      world.table = createDirectory();
      for (const follower of world.followers) follower.destroy();
      for (const change of changes) append(world, change);
    },
    async stop() {
      clearInterval(beat);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
  return control;
}

function serveFeed(world: World, from: FeedPosition, response: ServerResponse): void {
  const head = headOf(world);
  const known = from.version === 0 ? chainStart : world.versions[from.version - 1]?.chain;
  const foreign = from.version > 0 && (from.incarnation > world.incarnation || known !== from.chain);
  if (foreign && world.mode === "normal") {
    response.writeHead(409, { "content-type": "application/problem+json" });
    response.end(JSON.stringify({ status: 409, code: "DIVERGED", incarnation: world.incarnation }));
    return;
  }
  response.writeHead(200, { "content-type": "application/vnd.stampyard.feed" });
  const write = (message: FeedMessage) => response.write(encodeFrame(message));
  write({ kind: "hello", mode: world.mode, heartbeatMs: 100, ...head });
  for (const [stamp, keys] of world.keys) write({ kind: "keys", stamp, keys });
  if (world.mode === "normal") {
    const missing = world.versions.slice(from.version);
    if (from.version === 0)
      for (const message of snapshotMessages(world.table, head, { shrinkConfirmed: false })) write(message);
    else for (const version of missing) write({ kind: "delta", ...version });
  }
  world.followers.add(response);
  response.on("close", () => world.followers.delete(response));
}

function append(world: World, change: DirectoryChange): void {
  const refusal = world.table.apply(change);
  if (refusal !== undefined) throw new Error(`The fake would break its own rules: ${refusal}`);
  const before = headOf(world);
  const chain = nextChain(before.chain, change, sha256);
  const version: DirectoryVersion = { incarnation: world.incarnation, version: before.version + 1, chain, change };
  world.versions.push(version);
  broadcast(world, { kind: "delta", ...version });
}

function headOf({ incarnation, versions }: World): FeedPosition {
  const last = versions.at(-1);
  return { incarnation, version: last?.version ?? 0, chain: last?.chain ?? chainStart };
}

function broadcast(world: World, message: FeedMessage): void {
  if (world.mode === "recovering" && message.kind === "delta") return;
  for (const follower of world.followers) follower.write(encodeFrame(message));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text);
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}
