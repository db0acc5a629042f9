import { createHash } from "node:crypto";
import type { Queryable } from "./database.ts";

export interface TextStats {
  readonly words: number;
  /** Unicode code points. */
  readonly characters: number;
  /** SHA-256, hexadecimal. */
  readonly digest: string;
}

const segmenter = new Intl.Segmenter("en", { granularity: "word" });

/** Counts words as Unicode does (UAX 29), so that it also works for languages without spaces. */
export function measureText(text: string): TextStats {
  let words = 0;
  for (const segment of segmenter.segment(text)) if (segment.isWordLike === true) words++;
  return { words, characters: [...text].length, digest: createHash("sha256").update(text, "utf8").digest("hex") };
}

/**
 * Measures the note as it is now. Safe to repeat and to run late or out of order: it reads the current text, and an
 * older revision never replaces a newer one. A note that is gone needs no stats.
 */
export async function updateNoteStats(db: Queryable, tenant: string, note: string): Promise<void> {
  // Locked against deletion until the commit; else the insert below would break the foreign key.
  const { rows } = await db.query<{ body: string; revision: number }>(
    "select body, revision from notes where tenant_id = $1 and id = $2 for key share",
    [tenant, note],
  );
  const [current] = rows;
  if (current === undefined) return;
  const stats = measureText(current.body);
  await db.query(
    `insert into note_stats as s (tenant_id, note_id, revision, words, characters, text_digest)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (tenant_id, note_id) do update set revision = excluded.revision, words = excluded.words,
       characters = excluded.characters, text_digest = excluded.text_digest, computed_at = now()
     where s.revision < excluded.revision`,
    [tenant, note, current.revision, stats.words, stats.characters, stats.digest],
  );
}

export interface WorkspaceStats {
  readonly notes: number;
  readonly words: number;
  readonly characters: number;
  /** Notes whose present text the worker has not measured yet. */
  readonly unmeasured: number;
  readonly jobs: { readonly waiting: number; readonly dead: number };
}

export async function readWorkspaceStats(db: Queryable, tenant: string): Promise<WorkspaceStats> {
  const { rows } = await db.query<Record<"notes" | "words" | "characters" | "unmeasured" | "waiting" | "dead", number>>(
    `select count(*)::int as notes, coalesce(sum(s.words), 0)::float8 as words,
       coalesce(sum(s.characters), 0)::float8 as characters,
       (count(*) filter (where s.revision is distinct from n.revision))::int as unmeasured,
       (select count(*)::int from outbox where tenant_id = $1 and state = 'ready') as waiting,
       (select count(*)::int from outbox where tenant_id = $1 and state = 'dead') as dead
     from notes n left join note_stats s on s.tenant_id = n.tenant_id and s.note_id = n.id
     where n.tenant_id = $1`,
    [tenant],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("An aggregate returned no row");
  const { notes, words, characters, unmeasured, waiting, dead } = row;
  return { notes, words, characters, unmeasured, jobs: { waiting, dead } };
}
