import type { CacheOwner } from "./cache.ts";
import type { IndexedNote, SearchIndex } from "./search-index.ts";

/** As the real one, but that it forgets. */
export function memorySearch(): SearchIndex {
  const held = new Map<string, { epoch: number; notes: Map<string, IndexedNote> }>();
  const of = ({ tenant, epoch }: CacheOwner) => {
    const index = held.get(tenant);
    return index?.epoch === epoch ? index.notes : undefined;
  };
  const put = (notes: Map<string, IndexedNote>, note: IndexedNote) => {
    if ((notes.get(note.id)?.revision ?? 0) <= note.revision) notes.set(note.id, note);
  };
  return {
    async find(owner, words) {
      const notes = of(owner);
      if (notes === undefined) return undefined;
      return [...notes.values()].filter((note) => words.every((word) => note.words.includes(word))).map(({ id }) => id);
    },
    async put(owner, notes) {
      const index = of(owner);
      if (index !== undefined) for (const note of notes) put(index, note);
    },
    async remove(owner, note) {
      of(owner)?.delete(note);
    },
    async build({ tenant, epoch }, notes) {
      const index = new Map<string, IndexedNote>();
      for await (const page of notes()) for (const note of page) put(index, note);
      held.set(tenant, { epoch, notes: index });
      return true;
    },
    tenants: async () => [...held.keys()].sort(),
    async erase(tenant) {
      held.delete(tenant);
    },
    close() {},
  };
}
