import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Outcome, Phase } from "./tally.ts";

export interface TrafficOptions {
  readonly routerPort: number;
  readonly phase: () => Phase;
  readonly onOutcome: (outcome: Outcome) => void;
}

export interface Traffic {
  /** One steady client more. */
  add(tenant: string, home: string): void;
  /** The tenant moves there: the first answer from there makes it its home, and until then nothing changes. */
  expectAt(tenant: string, stamp: string): void;
  /** Its move has ended: this is its home, and no other. */
  settle(tenant: string, home: string): void;
  /** Notes whose creation was answered with success, per tenant. */
  acknowledged(): ReadonlyMap<string, readonly string[]>;
  /** Ends when the requests under way have ended. */
  stop(): Promise<void>;
}

/** Between two requests of one tenant. Ten a second and tenant: enough to see, little enough for a laptop. */
const paceMs = 100;
const answerWithinMs = 10_000;

/** Real clients: each tenant writes and reads notes through the router, one request after the other. */
export function startTraffic(options: TrafficOptions): Traffic {
  const ending = new AbortController();
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const acknowledged = new Map<string, string[]>();
  const homes = new Map<string, Home>();
  const clients: Promise<void>[] = [];
  return {
    add(tenant, stamp) {
      const mine: string[] = [];
      acknowledged.set(tenant, mine);
      const home: Home = { stamp };
      homes.set(tenant, home);
      clients.push(runClient({ ...options, agent, tenant, home, acknowledged: mine }, ending.signal));
    },
    expectAt(tenant, stamp) {
      const home = homes.get(tenant);
      if (home !== undefined) home.next = stamp;
    },
    settle(tenant, stamp) {
      const home = homes.get(tenant);
      if (home !== undefined) Object.assign(home, { stamp, next: undefined });
    },
    acknowledged: () => acknowledged,
    async stop() {
      ending.abort();
      await Promise.all(clients);
      agent.destroy();
    },
  };
}

/** Where a tenant is served; `next` while it moves there. */
interface Home {
  stamp: string;
  next?: string | undefined;
}

interface ClientOptions extends TrafficOptions {
  readonly agent: Agent;
  readonly tenant: string;
  readonly home: Home;
  readonly acknowledged: string[];
}

async function runClient(client: ClientOptions, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    const begun = client.phase();
    const started = performance.now();
    const write = turn % 3 === 0;
    const id = randomUUID();
    const answer = await send(client, write ? { id, title: `Note ${turn} of ${client.tenant}` } : undefined, turn);
    if (write && (answer.status === 201 || answer.status === 200)) client.acknowledged.push(id);
    client.onOutcome({
      tenant: client.tenant,
      home: homeAfter(client.home, answer.servedBy),
      begun,
      ended: client.phase(),
      ms: performance.now() - started,
      ...answer,
    });
    await sleep(paceMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Once its new stamp has answered, the old one never may again. */
function homeAfter(home: Home, servedBy: string | undefined): string {
  if (servedBy !== undefined && servedBy === home.next) Object.assign(home, { stamp: servedBy, next: undefined });
  return home.stamp;
}

type Answer = Pick<Outcome, "status" | "servedBy" | "code">;

function send(client: ClientOptions, note: object | undefined, turn: number): Promise<Answer> {
  return exchange({
    agent: client.agent,
    port: client.routerPort,
    tenant: client.tenant,
    method: note === undefined ? "GET" : "POST",
    path: note !== undefined || turn % 3 === 1 ? "/notes?limit=5" : "/",
    body: note === undefined ? undefined : JSON.stringify(note),
  });
}

export interface Exchange {
  readonly agent?: Agent;
  readonly port: number;
  readonly tenant: string;
  readonly method: string;
  readonly path: string;
  readonly body?: string | undefined;
  readonly onBody?: (text: string) => void;
}

/** One request through the router, as a client on this machine would send it. Never rejects. */
export function exchange(what: Exchange): Promise<Answer> {
  return new Promise((settle) => {
    const headers = {
      host: `${what.tenant}.localhost:${what.port}`,
      ...(what.body === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(what.body) }),
    };
    const { agent, port, method, path } = what;
    const sent = request({ host: "127.0.0.1", port, method, path, headers, ...(agent === undefined ? {} : { agent }) });
    sent.setTimeout(answerWithinMs, () => sent.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })));
    const failed = (error: NodeJS.ErrnoException) =>
      settle({ status: 0, servedBy: undefined, code: error.code ?? "failed" });
    sent.on("error", failed);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", failed);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        what.onBody?.(text);
        const stamp = response.headers["x-notes-stamp"];
        const status = response.statusCode ?? 0;
        settle({
          status,
          servedBy: typeof stamp === "string" ? stamp : undefined,
          code: status >= 400 ? codeIn(text) : undefined,
        });
      });
    });
    sent.end(what.body);
  });
}

function codeIn(text: string): string | undefined {
  try {
    const { code } = JSON.parse(text) as { code?: unknown };
    return typeof code === "string" ? code : undefined;
  } catch {
    return undefined;
  }
}

/** Ids of all notes that a tenant has; undefined if it cannot be read. */
export async function readNoteIds(port: number, tenant: string): Promise<ReadonlySet<string> | undefined> {
  const ids = await listNoteIds(port, tenant);
  return ids === undefined ? undefined : new Set(ids);
}

/** The same as often as each is there, page by page. */
export async function listNoteIds(port: number, tenant: string): Promise<readonly string[] | undefined> {
  const ids: string[] = [];
  let after: string | undefined;
  do {
    let page: { notes?: { id: string }[]; next?: string } = {};
    const path = `/notes?limit=100${after === undefined ? "" : `&after=${encodeURIComponent(after)}`}`;
    const onBody = (text: string) => {
      page = JSON.parse(text) as typeof page;
    };
    const { status } = await exchange({ port, tenant, method: "GET", path, onBody });
    if (status !== 200) return undefined;
    for (const note of page.notes ?? []) ids.push(note.id);
    after = page.next;
  } while (after !== undefined);
  return ids;
}
