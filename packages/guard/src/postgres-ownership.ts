import type { Ownership, TenantHome } from "./ownership.ts";

/** The part of a node-postgres `Pool` that is used; any pool of this shape will do. */
export interface OwnershipPool {
  query(text: string, values: string[]): Promise<{ readonly rows: readonly unknown[] }>;
  connect(): Promise<OwnershipClient>;
}

/** The part of a node-postgres `PoolClient` that is used: one connection, kept for LISTEN. */
export interface OwnershipClient {
  query(text: string): Promise<unknown>;
  on(
    event: "notification",
    listener: (message: { readonly channel: string; readonly payload?: string | undefined }) => void,
  ): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  release(destroy?: boolean): void;
}

export interface PostgresOwnershipOptions {
  /** How long an answer may be used while notifications arrive, in milliseconds. @default 1000, which is also the most */
  readonly cacheMs?: number;
  /** @default 10000 */
  readonly maxTenants?: number;
  /** Pause between attempts to listen, in milliseconds. @default 1000 */
  readonly relistenMs?: number;
  /** Monotonic milliseconds. @default performance.now */
  readonly now?: () => number;
}

export interface PostgresOwnership extends Ownership {
  /** Whether changes of homes are heard at once. While not, answers are used for 100 ms only. */
  listening(): boolean;
}

const channel = "stampyard_tenant_home";
/**
 * A fence whose deadline has passed decides nothing any more, and the next write opens it: without this no request would
 * get as far as to write (I41).
 */
const readHomeSql = `select case when state = 'fenced' and deadline <= clock_timestamp() then 'active' else state end as state,
  epoch from stampyard.tenant_home where tenant = $1`;
const states: readonly string[] = ["importing", "active", "suspended", "fenced", "moved", "deleting"];

/** Unheard changes are the ones that hurt, so without a listener answers age faster. So they do while fenced: nothing is
 * announced when a deadline passes. */
const unheardCacheMs = 100;

interface Read {
  readonly answer: Promise<TenantHome | undefined>;
  /** Set by a notification: the answer may be older than the change, so it is given out but not kept. */
  overtaken: boolean;
}

/**
 * Reads `stampyard.tenant_home` through the application's own pool. Writes never trust it: the database's fence decides
 * those. It takes one connection of the pool for LISTEN for as long as it lives.
 */
export function createPostgresOwnership(
  pool: OwnershipPool,
  options: PostgresOwnershipOptions = {},
): PostgresOwnership {
  const { maxTenants = 10_000, relistenMs = 1_000, now = () => performance.now() } = options;
  const cacheMs = Math.min(options.cacheMs ?? 1_000, 1_000);
  const kept = new Map<string, { readonly home: TenantHome | undefined; readonly readAt: number }>();
  const reads = new Map<string, Read>();
  const nextReads = new Map<string, Promise<TenantHome | undefined>>();

  const listener = keepListening(pool, relistenMs, {
    // Before the first LISTEN and between two of them changes went unheard: everything known is suspect.
    onListening: forgetAll,
    onChange(tenant) {
      kept.delete(tenant);
      const running = reads.get(tenant);
      if (running !== undefined) running.overtaken = true;
    },
  });

  function forgetAll(): void {
    kept.clear();
    for (const running of reads.values()) running.overtaken = true;
  }

  function startRead(tenant: string): Promise<TenantHome | undefined> {
    const readAt = now();
    const read: Read = { answer: readHome(pool, tenant), overtaken: false };
    reads.set(tenant, read);
    const finish = () => reads.delete(tenant);
    read.answer.then((home) => {
      finish();
      if (read.overtaken) return;
      kept.delete(tenant);
      kept.set(tenant, { home, readAt });
      if (kept.size <= maxTenants) return;
      const oldest = kept.keys().next();
      if (oldest.done !== true) kept.delete(oldest.value);
    }, finish);
    return read.answer;
  }

  /** A read that began after this call: a running one is too old, but all who wait now share the one that follows it. */
  function freshRead(tenant: string): Promise<TenantHome | undefined> {
    const running = reads.get(tenant);
    if (running === undefined) return startRead(tenant);
    const waiting = nextReads.get(tenant);
    if (waiting !== undefined) return waiting;
    const again = () => {
      nextReads.delete(tenant);
      return startRead(tenant);
    };
    const next = running.answer.then(again, again);
    nextReads.set(tenant, next);
    return next;
  }

  return {
    assurance: "tenant-home",
    listening: () => listener.listening(),
    home(tenant, { fresh }) {
      if (fresh) return freshRead(tenant);
      const found = kept.get(tenant);
      const isAnnounced = listener.listening() && found?.home?.state !== "fenced";
      const lifeMs = isAnnounced ? cacheMs : Math.min(cacheMs, unheardCacheMs);
      if (found !== undefined && now() - found.readAt < lifeMs) return Promise.resolve(found.home);
      return reads.get(tenant)?.answer ?? startRead(tenant);
    },
    async close() {
      await listener.close();
      kept.clear();
    },
  };
}

async function readHome(pool: OwnershipPool, tenant: string): Promise<TenantHome | undefined> {
  const { rows } = await pool.query(readHomeSql, [tenant]);
  const row = rows[0] as { readonly state?: unknown; readonly epoch?: unknown } | undefined;
  if (row === undefined) return undefined;
  // bigint arrives as text, so that none of its digits are lost; an epoch has at most fifteen.
  const epoch = Number(row.epoch);
  if (typeof row.state !== "string" || !states.includes(row.state) || !Number.isSafeInteger(epoch) || epoch < 1) {
    throw new RangeError("stampyard.tenant_home holds a row that this guard cannot read");
  }
  return { state: row.state as TenantHome["state"], epoch };
}

interface Listener {
  listening(): boolean;
  close(): Promise<void>;
}

/** Holds one LISTEN connection and opens another when it is lost, until closed. */
function keepListening(
  pool: OwnershipPool,
  relistenMs: number,
  events: { onListening(): void; onChange(tenant: string): void },
): Listener {
  let client: OwnershipClient | undefined;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;
  let up = false;

  const lose = (lost: OwnershipClient) => {
    if (client !== lost) return;
    client = undefined;
    up = false;
    lost.release(true);
    again();
  };
  const again = () => {
    if (closed) return;
    retry = setTimeout(start, relistenMs);
    // An application that has nothing else to do may end.
    retry.unref();
  };
  const listen = async () => {
    const opened = await pool.connect();
    if (closed) return opened.release(true);
    client = opened;
    opened.on("error", () => lose(opened));
    opened.on("end", () => lose(opened));
    opened.on("notification", (message) => {
      if (message.channel === channel && message.payload !== undefined) events.onChange(message.payload);
    });
    try {
      await opened.query(`listen ${channel}`);
    } catch {
      return lose(opened);
    }
    if (client !== opened) return;
    events.onListening();
    up = true;
  };
  let current: Promise<void> = Promise.resolve();
  const start = () => {
    current = listen().catch(again);
  };
  start();

  return {
    listening: () => up,
    async close() {
      closed = true;
      up = false;
      clearTimeout(retry);
      await current;
      client?.release(true);
      client = undefined;
    },
  };
}
