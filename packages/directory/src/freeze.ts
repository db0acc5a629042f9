import type { FrozenDirectory, FrozenState } from "./directory.ts";
import { emptyShard } from "./key-index.ts";
import { countsOf, type TableParts } from "./table-parts.ts";

/** How many moments of a table somebody still reads. */
const readers = new WeakMap<TableParts, number>();

/** Marks everything as read by somebody; see `FrozenDirectory`. */
export function freezeTable(parts: TableParts): FrozenDirectory {
  const { arena, index } = parts;
  const pieces: Uint8Array[] = [];
  for (const shard of index.shards) {
    if (shard === emptyShard) continue;
    shard.frozen = true;
    pieces.push(shard.bytes);
  }
  for (const chunk of arena.chunks) {
    chunk.frozen = true;
    pieces.push(chunk.bytes.subarray(0, chunk.used));
  }
  readers.set(parts, (readers.get(parts) ?? 0) + 1);
  let released = false;
  return {
    state: stateOf(parts),
    pieces,
    release() {
      if (released) return;
      released = true;
      const left = (readers.get(parts) ?? 1) - 1;
      readers.set(parts, left);
      if (left > 0) return;
      for (const shard of index.shards) if (shard !== emptyShard) shard.frozen = false;
      for (const chunk of arena.chunks) chunk.frozen = false;
    },
  };
}

function stateOf(parts: TableParts): FrozenState {
  const { arena, index, stampNumbers } = parts;
  return {
    hashKey: index.hashKey,
    counts: countsOf(parts),
    routing: parts.routing,
    stamps: [...parts.stamps.values()],
    stampNames: stampNumbers.names.map((name) => name ?? null),
    stampTenants: [...stampNumbers.tenants],
    shards: index.shards.map(({ slots, used }) => [slots, used] as const),
    chunks: arena.chunks.map(({ used }) => used),
    free: [...arena.free],
    freeBytes: arena.freeBytes,
  };
}
