import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** Clients of many tenants through the real router, and what each of their requests came to. */

export interface LoadOptions {
  readonly router: string;
  /** Tenant → the stamp that it lives on. */
  readonly homes: ReadonlyMap<string, string>;
  /** Requests a second of one tenant. */
  readonly perSecond: number;
}

export interface Failed {
  readonly tenant: string;
  readonly stamp: string;
  /** 0 = no answer. */
  readonly status: number;
  readonly code: string;
  /** Release that answered; "" = none of ours did. */
  readonly release: string;
  readonly at: number;
}

export interface Count {
  requests: number;
  failed: number;
}

export interface Load {
  /** Per stamp, since the last time it was asked. */
  take(): { readonly counts: ReadonlyMap<string, Readonly<Count>>; readonly failed: readonly Failed[] };
  /** Releases that have answered for a stamp since the last `take()`. */
  releases(stamp: string): readonly string[];
  /** Ends when the requests under way have ended. */
  stop(): Promise<void>;
}

const answerWithinMs = 10_000;
/** One request in ten writes, so that the worker has something to do. */
const writeEvery = 10;

/** An open load: a slow answer does not make the next request later, or a slow stamp would look like a quiet one. */
export function startLoad({ router, homes, perSecond }: LoadOptions): Load {
  const ending = new AbortController();
  const { hostname, port } = new URL(router);
  const agent = new Agent({ keepAlive: true, maxSockets: 512 });
  let tally = emptyTally(homes);
  const underWay = new Set<Promise<void>>();

  const send = (tenant: string, stamp: string, turn: number) => {
    const isWrite = turn % writeEvery === 0;
    const body = isWrite ? JSON.stringify({ id: randomUUID(), title: `Note ${turn}`, body: "some words" }) : undefined;
    const asked = { agent, hostname, port, tenant, path: isWrite ? "/notes" : "/", body };
    const done = exchange(asked).then(({ status, code, release }) => {
      const count = tally.counts.get(stamp);
      if (count === undefined) return;
      count.requests++;
      if (release !== "") tally.releases.get(stamp)?.add(release);
      if (status >= 200 && status < 400) return;
      count.failed++;
      tally.failed.push({ tenant, stamp, status, code, release, at: Date.now() });
    });
    underWay.add(done);
    void done.finally(() => underWay.delete(done));
  };
  const client = async (tenant: string, stamp: string, index: number) => {
    const everyMs = 1_000 / perSecond;
    // Not all at once, or every tick would be a burst.
    let next = performance.now() + (everyMs * index) / homes.size;
    for (let turn = index; !ending.signal.aborted; turn++) {
      await sleep(Math.max(0, next - performance.now()), undefined, { signal: ending.signal }).catch(() => {});
      if (ending.signal.aborted) return;
      // A machine that stood still does not make up for it by a burst.
      next = Math.max(next + everyMs, performance.now() - everyMs);
      send(tenant, stamp, turn);
    }
  };
  const clients = [...homes].map(([tenant, stamp], index) => client(tenant, stamp, index));

  return {
    take() {
      const { counts, failed } = tally;
      tally = emptyTally(homes);
      return { counts, failed };
    },
    releases: (stamp) => [...(tally.releases.get(stamp) ?? [])].sort(),
    async stop() {
      ending.abort();
      await Promise.all(clients);
      await Promise.all(underWay);
      agent.destroy();
    },
  };
}

function emptyTally(homes: ReadonlyMap<string, string>) {
  const stamps = new Set(homes.values());
  return {
    counts: new Map<string, Count>([...stamps].map((stamp) => [stamp, { requests: 0, failed: 0 }])),
    releases: new Map([...stamps].map((stamp) => [stamp, new Set<string>()])),
    failed: [] as Failed[],
  };
}

interface Asked {
  readonly agent: Agent;
  readonly hostname: string;
  readonly port: string;
  readonly tenant: string;
  readonly path: string;
  readonly body: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly release: string;
}

function exchange({ agent, hostname, port, tenant, path, body }: Asked): Promise<Answer> {
  return new Promise((settle) => {
    const failed = ({ code = "failed" }: NodeJS.ErrnoException) => settle({ status: 0, code, release: "" });
    const headers = {
      host: `${tenant}.localhost`,
      ...(body === undefined
        ? {}
        : { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) }),
    };
    const method = body === undefined ? "GET" : "POST";
    const sent = request({ agent, host: hostname, port, method, path, headers }, (response) => {
      const status = response.statusCode ?? 0;
      const release = String(response.headers["x-notes-release"] ?? "");
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", failed);
      response.on("end", () => settle({ status, release, code: status < 400 ? "" : codeIn(text) }));
    });
    sent.setTimeout(answerWithinMs, () => sent.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })));
    sent.on("error", failed).end(body);
  });
}

function codeIn(text: string): string {
  return /"code":\s*"([^"]{1,60})"/.exec(text)?.[1] ?? "";
}
