import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { type Log, reasonOf } from "./log.ts";

/** Whose data is cached. With the epoch in every key, what was cached before a move can never be read after it. */
export interface CacheOwner {
  readonly tenant: string;
  readonly epoch: number;
}

export interface Cache {
  /** The cached value, or `load()`'s, which is then cached for a few seconds. Fails only when `load` does. */
  through<T>(
    owner: CacheOwner,
    name: string,
    load: () => Promise<T>,
  ): Promise<{ value: T; from: "cache" | "database" }>;
  /** Drops everything cached of the owner. Call it after the commit. Never fails. */
  drop(owner: CacheOwner): Promise<void>;
  close(): void;
}

/** Also bounds how long a reader can see an old value when `drop` did not reach Redis. */
const keepSeconds = 5;

/** The part of a Redis client that the cache uses. */
export type CacheStore = Pick<Redis, "get" | "set">;

/**
 * A cache that can only help: whatever Redis does (down, slow, full, emptied) ends in a read from the database.
 * All entries of an owner carry a generation; `drop` replaces the generation instead of looking for keys. A reader that
 * loaded before a write stores under the old generation, where nobody looks any more.
 */
export function cacheOver(store: CacheStore, close: () => void): Cache {
  const generationKey = ({ tenant, epoch }: CacheOwner) => `notes:${tenant}:${epoch}:generation`;

  async function generationOf(owner: CacheOwner): Promise<string> {
    const key = generationKey(owner);
    const known = await store.get(key);
    if (known !== null) return known;
    // Random, not counted: a counter that Redis evicted would start over and revive old entries.
    await store.set(key, randomUUID(), "EX", 3_600, "NX");
    return (await store.get(key)) ?? Promise.reject(new Error("Generation vanished"));
  }

  return {
    close,
    async through<T>(owner: CacheOwner, name: string, load: () => Promise<T>) {
      let key: string | undefined;
      try {
        key = `notes:${owner.tenant}:${owner.epoch}:${await generationOf(owner)}:${name}`;
        const found = await store.get(key);
        if (found !== null) return { value: JSON.parse(found) as T, from: "cache" };
      } catch {
        key = undefined; // Redis is not there: do not wait for it a second time in this request.
      }
      const value = await load();
      if (key !== undefined) await store.set(key, JSON.stringify(value), "EX", keepSeconds).catch(() => {});
      return { value, from: "database" };
    },
    async drop(owner) {
      await store.set(generationKey(owner), randomUUID(), "EX", 3_600).catch(() => {});
    },
  };
}

export function openCache(url: string, log: Log): Cache {
  const redis = new Redis({
    ...cacheAddress(url),
    connectTimeout: 1_000,
    commandTimeout: 100,
    // Fail at once while the connection is down: a request must not queue behind a dead cache.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(1_000, 50 * attempt),
  });
  let reachable: boolean | undefined;
  redis.on("ready", () => {
    if (reachable === false) log("cache-back");
    reachable = true;
  });
  redis.on("error", (error: Error) => {
    if (reachable !== false) log("cache-lost", { reason: reasonOf(error) });
    reachable = false;
  });
  return cacheOver(redis, () => redis.disconnect());
}

export interface CacheAddress {
  readonly host?: string;
  readonly port?: number;
  /** Unix socket, in place of host and port. */
  readonly path?: string;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: object;
}

/**
 * Reads `redis://[user]:password@host:port[/db]`, and for a unix socket `unix:///path` or `redis+unix:///path`, with
 * the password as user info or as `?password=`.
 * @throws Error that does not repeat the URL, which holds a password
 */
export function cacheAddress(text: string): CacheAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw new Error("CACHE_URL is not a URL");
  const username = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password) || url.searchParams.get("password") || "";
  const login = { ...(username === "" ? {} : { username }), ...(password === "" ? {} : { password }) };
  switch (url.protocol) {
    case "redis:":
    case "rediss:": {
      const db = Number(url.pathname.slice(1) || url.searchParams.get("db") || 0);
      const tls = url.protocol === "rediss:" ? { tls: {} } : {};
      return { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 6379), db, ...login, ...tls };
    }
    case "unix:":
    case "redis+unix:":
    case "redis+socket:":
      return { path: decodeURIComponent(url.pathname), db: Number(url.searchParams.get("db") ?? 0), ...login };
    default:
      throw new Error("CACHE_URL must begin with redis://, rediss:// or unix://");
  }
}
