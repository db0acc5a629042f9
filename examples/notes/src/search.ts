import type { CacheOwner } from "./cache.ts";
import type { Queryable } from "./database.ts";
import type { IndexedNote, SearchIndex } from "./search-index.ts";
import { wordsOf } from "./search-words.ts";

const pageSize = 200;

interface Row extends Record<string, unknown> {
  readonly id: string;
  readonly revision: number;
  readonly title: string;
  readonly body: string;
}

/** Builds the tenant's index from its rows. Called by the hook of a move, and by whoever searches and finds none. */
export async function buildIndex(db: Queryable, index: SearchIndex, owner: CacheOwner): Promise<boolean> {
  return await index.build(owner, async function* () {
    for (let after: string | null = null; ; ) {
      const { rows }: { rows: Row[] } = await db.query<Row>(
        `select id, revision, title, body from notes where tenant_id = $1 and ($2::uuid is null or id > $2)
         order by id limit $3`,
        [owner.tenant, after, pageSize],
      );
      yield rows.map(toIndexed);
      const last = rows.at(-1);
      if (last === undefined || rows.length < pageSize) return;
      after = last.id;
    }
  });
}

/**
 * Brings the note into the index as it is now, or out of it when it is gone. Call it in a transaction: the row is locked
 * against deletion until the index has it, so the job of a deletion comes after and has the last word.
 */
export async function indexNote(db: Queryable, index: SearchIndex, owner: CacheOwner, note: string): Promise<void> {
  const { rows } = await db.query<Row>(
    "select id, revision, title, body from notes where tenant_id = $1 and id = $2 for key share",
    [owner.tenant, note],
  );
  if (rows.length === 0) await index.remove(owner, note);
  else await index.put(owner, rows.map(toIndexed));
}

export interface Search {
  /** Candidates: ids that the index gave. Who shows them reads them first, so a note that is gone is not shown. */
  readonly ids: readonly string[];
  /** Whether the index had to be built for this. */
  readonly isBuilt: boolean;
}

/** Undefined = the index is being built by others, and is asked again later. */
export async function searchNotes(
  db: Queryable,
  index: SearchIndex,
  owner: CacheOwner,
  words: readonly string[],
): Promise<Search | undefined> {
  const known = await index.find(owner, words);
  if (known !== undefined) return { ids: known, isBuilt: false };
  await buildIndex(db, index, owner);
  const found = await index.find(owner, words);
  return found === undefined ? undefined : { ids: found, isBuilt: true };
}

function toIndexed({ id, revision, title, body }: Row): IndexedNote {
  return { id, revision, words: wordsOf(`${title}\n${body}`) };
}
