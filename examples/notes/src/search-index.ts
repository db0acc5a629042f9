import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { cacheAddress, type CacheOwner } from "./cache.ts";
import { type Log, reasonOf } from "./log.ts";

/** A note as the index knows it. */
export interface IndexedNote {
  readonly id: string;
  readonly revision: number;
  readonly words: readonly string[];
}

/**
 * Which notes of a tenant hold which words: derived from its rows, kept outside of PostgreSQL, so no move brings it along.
 * It belongs to one epoch of its tenant, and is made anew for the next one. An owner without a whole index is "not
 * built"; what is put or removed then is ignored, so that half an index never passes for a whole one.
 */
export interface SearchIndex {
  /** Ids of notes that hold every word, of whatever revision was indexed last; undefined = not built. */
  find(owner: CacheOwner, words: readonly string[]): Promise<readonly string[] | undefined>;
  /** An older revision never replaces a newer one. */
  put(owner: CacheOwner, notes: readonly IndexedNote[]): Promise<void>;
  remove(owner: CacheOwner, note: string): Promise<void>;
  /** Forgets what there was and builds it from these. False = somebody else began after us, and will finish. */
  build(owner: CacheOwner, notes: () => AsyncIterable<readonly IndexedNote[]>): Promise<boolean>;
  /** Whoever has an index of any epoch. */
  tenants(): Promise<readonly string[]>;
  erase(tenant: string): Promise<void>;
  close(): void;
}

/**
 * One hash for each tenant, because Redis evicts keys as a whole: `epoch`, `built` or `building`, `n:<note>` → revision and words,
 * `w:<word>` → notes. Each script is one step that nobody sees half of.
 */
const keyOf = (tenant: string) => `notes:${tenant}:search`;

/** ARGV: epoch, note, revision (-1 = remove), words. */
const putScript = `
local key, epoch, note, revision = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('hget', key, 'epoch') ~= epoch then return 0 end
local held = redis.call('hget', key, 'n:' .. note)
if held then
  local before, words = string.match(held, '^(%d+)(.*)$')
  if revision >= 0 and tonumber(before) > revision then return 0 end
  for word in string.gmatch(words, '[^ ]+') do
    local left = {}
    for other in string.gmatch(redis.call('hget', key, 'w:' .. word) or '', '[^ ]+') do
      if other ~= note then left[#left + 1] = other end
    end
    if #left == 0 then redis.call('hdel', key, 'w:' .. word)
    else redis.call('hset', key, 'w:' .. word, table.concat(left, ' ')) end
  end
end
if revision < 0 then return redis.call('hdel', key, 'n:' .. note) end
for at = 4, #ARGV do
  local notes = redis.call('hget', key, 'w:' .. ARGV[at])
  redis.call('hset', key, 'w:' .. ARGV[at], notes and (notes .. ' ' .. note) or note)
end
redis.call('hset', key, 'n:' .. note, ARGV[3] .. ' ' .. table.concat(ARGV, ' ', 4))
return 1`;

/** ARGV: epoch, token. A later epoch is never undone by somebody who is behind. */
const beginScript = `
local held = redis.call('hget', KEYS[1], 'epoch')
if held and tonumber(held) > tonumber(ARGV[1]) then return 0 end
redis.call('del', KEYS[1])
return redis.call('hset', KEYS[1], 'epoch', ARGV[1], 'building', ARGV[2])`;

const endScript = `
if redis.call('hget', KEYS[1], 'building') ~= ARGV[1] then return 0 end
redis.call('hdel', KEYS[1], 'building')
return redis.call('hset', KEYS[1], 'built', '1')`;

/** The part of a Redis client that the index uses. */
export type SearchStore = Pick<Redis, "eval" | "hmget" | "del" | "scan">;

export function searchOver(store: SearchStore, close: () => void): SearchIndex {
  const putOne = ({ tenant, epoch }: CacheOwner, { id, revision, words }: IndexedNote) =>
    store.eval(putScript, 1, keyOf(tenant), epoch, id, revision, ...words);
  return {
    async find({ tenant, epoch }, words) {
      const [of, built, ...lists] = await store.hmget(
        keyOf(tenant),
        "epoch",
        "built",
        ...words.map((word) => `w:${word}`),
      );
      if (of !== String(epoch) || built !== "1") return undefined;
      const sets = lists.map((list) => new Set(list?.split(" ") ?? []));
      const [first = new Set<string>(), ...others] = sets.sort((a, b) => a.size - b.size);
      return [...first].filter((note) => others.every((notes) => notes.has(note)));
    },
    async put(owner, notes) {
      for (const note of notes) await putOne(owner, note);
    },
    async remove(owner, note) {
      await putOne(owner, { id: note, revision: -1, words: [] });
    },
    async build(owner, notes) {
      const key = keyOf(owner.tenant);
      const token = randomUUID();
      if ((await store.eval(beginScript, 1, key, owner.epoch, token)) === 0) return false;
      // Read after the beginning: what is written from here on is put by whoever writes it, too.
      for await (const page of notes()) for (const note of page) await putOne(owner, note);
      return (await store.eval(endScript, 1, key, token)) !== 0;
    },
    async tenants() {
      const found = new Set<string>();
      for (let cursor = "0"; ; ) {
        const [next, keys] = await store.scan(cursor, "MATCH", keyOf("*"), "COUNT", 500);
        for (const key of keys) found.add(key.split(":")[1] ?? "");
        if (next === "0") return [...found].sort();
        cursor = next;
      }
    },
    async erase(tenant) {
      await store.del(keyOf(tenant));
    },
    close,
  };
}

export function openSearch(url: string, log: Log): SearchIndex {
  const redis = new Redis({
    ...cacheAddress(url),
    connectTimeout: 1_000,
    // Longer than the cache's: whoever searches has asked for this, and nothing else answers it.
    commandTimeout: 2_000,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(1_000, 50 * attempt),
  });
  let reachable: boolean | undefined;
  redis.on("ready", () => {
    reachable = true;
  });
  redis.on("error", (error: Error) => {
    if (reachable !== false) log("search-lost", { reason: reasonOf(error) });
    reachable = false;
  });
  return searchOver(redis, () => redis.disconnect());
}
