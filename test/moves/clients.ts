import { Agent, request } from "node:http";
import type { SeededRandom } from "@stampyard/testing";
import { type Level, levels } from "./app/transact.ts";
import { monotonicMs, type Op } from "./history.ts";

/** Clients of one tenant, that know nothing but the router's address. */
export interface Clients {
  /** Everything that has an end so far. */
  readonly ops: readonly Op[];
  /** Lets what is on its way end. */
  stop(): Promise<void>;
}

export interface ClientPlan {
  readonly router: () => string;
  readonly tenant: string;
  readonly random: SeededRandom;
  /** Appends to lists, one after the other. */
  readonly appenders: number;
  /** Read registers, and set those that hold what they expect. */
  readonly setters: number;
  /** Of all appends. */
  readonly blobShare: number;
  /** Milliseconds between two operations of a client. @default 0 */
  readonly pauseMs?: number;
  /** Taken in turn by the clients. @default all */
  readonly levels?: readonly Level[];
}

/** A client whose request came to nothing waits this long, as one that minds Retry-After would, only shorter. */
const backoffMs = 25;
/** Of all appends: those of several rows in one transaction, as an import would write them. */
const bulkShare = 0.3;
const mostAlso = 15;
/** Operations on one register, before a new one is taken: the order of a history is looked for by trying. */
const opsPerRegister = 150;

export function startClients(plan: ClientPlan): Clients {
  const ops: Op[] = [];
  const agent = new Agent({ keepAlive: true });
  const stopping = new AbortController();
  const registers = rotateRegisters(plan.tenant);
  const all = [
    ...Array.from({ length: plan.appenders }, (_, n) => appender(plan, `${plan.tenant}-a${n}`)),
    ...Array.from({ length: plan.setters }, (_, n) => setter(plan, `${plan.tenant}-s${n}`, registers)),
  ].map(async (next, n) => {
    const mine = plan.levels ?? levels;
    const level = mine[n % mine.length] ?? "read committed";
    while (!stopping.signal.aborted) {
      const wanted = next(level);
      const op = await send(agent, plan.router(), wanted);
      ops.push(op, ...(wanted.also ?? []).map((value) => ({ ...op, value })));
      wanted.onEnd?.(op);
      const waitMs = op.outcome === "ok" ? (plan.pauseMs ?? 0) : backoffMs;
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  });
  return {
    ops,
    async stop() {
      stopping.abort();
      await Promise.all(all);
      agent.destroy();
    },
  };
}

interface Wanted {
  readonly client: string;
  readonly tenant: string;
  readonly kind: Op["kind"];
  readonly key: string;
  readonly value: string;
  /** More values of the same transaction: all of them are written, or none. */
  readonly also?: readonly string[];
  readonly expected?: string;
  readonly level: Level;
  readonly onEnd?: (op: Op) => void;
}

type Next = (level: Level) => Wanted;

function appender({ tenant, random, blobShare }: ClientPlan, client: string): Next {
  let count = 0;
  return (level) => {
    count += 1;
    const value = `${client}-${count}`;
    if (random.chance(blobShare)) return { client, tenant, kind: "blob", key: "blobs", value, level };
    const key = random.chance(0.2) ? "hot" : `l${random.int(1, 3)}`;
    const more = random.chance(bulkShare) ? random.int(1, mostAlso) : 0;
    const also = Array.from({ length: more }, (_, n) => `${value}.${n + 1}`);
    return { client, tenant, kind: "append", key, value, level, ...(more === 0 ? {} : { also }) };
  };
}

function setter({ tenant, random }: ClientPlan, client: string, registers: Registers): Next {
  let count = 0;
  return (level) => {
    count += 1;
    const key = registers.take(random.int(0, 2));
    const onEnd = (op: Op) => registers.learn(op);
    const expected = registers.last(key);
    if (random.chance(0.35)) return { client, tenant, kind: "read", key, value: `${client}-${count}`, level, onEnd };
    return {
      ...{ client, tenant, kind: "cas", key, value: `${client}-${count}`, level, onEnd },
      ...(expected === undefined ? {} : { expected }),
    };
  };
}

interface Registers {
  take(which: number): string;
  /** What somebody saw in it last. */
  last(key: string): string | undefined;
  learn(op: Op): void;
}

function rotateRegisters(tenant: string): Registers {
  const taken = [0, 0, 0];
  const values = new Map<string, string>();
  return {
    take(which) {
      const count = taken[which] ?? 0;
      taken[which] = count + 1;
      return `${tenant}-r${which}-${Math.floor(count / opsPerRegister)}`;
    },
    last: (key) => values.get(key),
    learn(op) {
      if (op.outcome === "fail") return;
      // Of an unknown write the next one finds out: it either meets it, or is told what is there.
      const value = op.observed ?? (op.kind === "cas" && op.observed === undefined ? op.value : undefined);
      if (value === undefined) values.delete(op.key);
      else values.set(op.key, value);
    },
  };
}

/** Longer than any hold and any part that stands still for a while. */
const timeoutMs = 20_000;

/** Sends one operation through the router. What is not told surely is unknown. */
export function send(agent: Agent, router: string, wanted: Wanted): Promise<Op> {
  const { client, tenant, kind, key, value, also, expected, level } = wanted;
  const known = { client, tenant, kind, key, value, ...(expected === undefined ? {} : { expected }) };
  const body = JSON.stringify({ kind, key, value, also, expected, level });
  const { hostname, port } = new URL(router);
  const headers = {
    host: `${tenant}.localhost`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  };
  const start = monotonicMs();
  return new Promise((resolve) => {
    const end = (more: Pick<Op, "outcome"> & Partial<Op>) => resolve({ ...known, start, end: monotonicMs(), ...more });
    const sent = request(
      { agent, hostname, port, method: "POST", path: "/", headers, timeout: timeoutMs },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        answer.on("end", () => end(outcomeOf(answer.statusCode ?? 0, text)));
        answer.on("error", (error) => end({ outcome: "unknown", code: codeOf(error) }));
      },
    );
    sent.on("timeout", () => sent.destroy(Object.assign(new Error("No answer"), { code: "CLIENT_TIMEOUT" })));
    // Nobody listened: nothing was sent.
    sent.on("error", (error) => {
      const code = codeOf(error);
      end({ outcome: code === "ECONNREFUSED" ? "fail" : "unknown", code });
    });
    sent.end(body);
  });
}

interface Told {
  readonly outcome?: Op["outcome"];
  readonly code?: string;
  readonly stamp?: string;
  readonly epoch?: number;
  readonly observed?: string | null;
}

/**
 * The application says what became of it. The router answers 503 and 429 for what it has not sent, or what the guard
 * has not let in (I7); whatever else it says, the stamp may have done it.
 */
function outcomeOf(status: number, text: string): Pick<Op, "outcome"> & Partial<Op> {
  let told: Told = {};
  try {
    told = JSON.parse(text) as Told;
  } catch {
    return { outcome: "unknown", code: `HTTP_${status}` };
  }
  const code = told.code === undefined ? {} : { code: told.code };
  if (told.outcome === undefined) {
    const isUnsent = [403, 404, 429, 503].includes(status);
    return { outcome: isUnsent ? "fail" : "unknown", code: `ROUTER_${told.code ?? status}` };
  }
  const { stamp, epoch, observed } = told;
  return {
    ...{ outcome: told.outcome, ...code },
    ...(stamp === undefined ? {} : { stamp }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(observed === undefined ? {} : { observed }),
  };
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
