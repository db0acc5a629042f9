import type { Queryable } from "./database.ts";
import { enqueue } from "./outbox.ts";
import { seedIds } from "./workspace.ts";

export interface Note {
  readonly id: string;
  readonly notebook: string;
  readonly author: string;
  readonly title: string;
  readonly body: string;
  readonly tags: readonly string[];
  readonly revision: number;
  readonly created_at: string;
  readonly updated_at: string;
}

/** What a client may say about a note. */
export interface NoteDraft {
  /** Makes a repeated creation safe: the second one finds the first. */
  readonly id?: string;
  /** @default the Welcome notebook */
  readonly notebook?: string;
  readonly title: string;
  readonly body: string;
  readonly tags: readonly string[];
}

const noteColumns = `n.id, n.notebook_id as notebook, u.name as author, n.title, n.body, n.revision,
  n.created_at, n.updated_at, array(
    select t.name from note_tags nt join tags t on t.tenant_id = nt.tenant_id and t.id = nt.tag_id
    where nt.tenant_id = n.tenant_id and nt.note_id = n.id order by t.name) as tags`;
const noteSource = "notes n join users u on u.tenant_id = n.tenant_id and u.id = n.author_id";

interface NoteRow extends Omit<Note, "created_at" | "updated_at"> {
  readonly created_at: Date;
  readonly updated_at: Date;
}

function noteOf({ created_at, updated_at, ...rest }: NoteRow): Note {
  return { ...rest, created_at: created_at.toISOString(), updated_at: updated_at.toISOString() };
}

export async function readNote(db: Queryable, tenant: string, id: string): Promise<Note | undefined> {
  const { rows } = await db.query<NoteRow>(
    `select ${noteColumns} from ${noteSource} where n.tenant_id = $1 and n.id = $2`,
    [tenant, id],
  );
  return rows[0] === undefined ? undefined : noteOf(rows[0]);
}

/** Those of these that exist, newest first. */
export async function readNotes(
  db: Queryable,
  tenant: string,
  ids: readonly string[],
  limit: number,
): Promise<readonly Note[]> {
  const { rows } = await db.query<NoteRow>(
    `select ${noteColumns} from ${noteSource} where n.tenant_id = $1 and n.id = any ($2::uuid[])
     order by n.created_at desc, n.id desc limit $3`,
    [tenant, ids, limit],
  );
  return rows.map(noteOf);
}

/** Where a page ends: the microsecond of creation (PostgreSQL's precision; a Date has only milliseconds) and the id. */
export interface Cursor {
  readonly micros: string;
  readonly id: string;
}

export interface NotePage {
  readonly notes: readonly Note[];
  /** Undefined on the last page. */
  readonly next?: Cursor;
}

/** Newest first. */
export async function listNotes(db: Queryable, tenant: string, limit: number, after?: Cursor): Promise<NotePage> {
  const { rows } = await db.query<NoteRow & { micros: string }>(
    `select ${noteColumns}, (extract(epoch from n.created_at) * 1000000)::bigint::text as micros from ${noteSource}
     where n.tenant_id = $1 and ($3::bigint is null
       or (n.created_at, n.id) < (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4::uuid))
     order by n.created_at desc, n.id desc limit $2`,
    [tenant, limit + 1, after?.micros ?? null, after?.id ?? null],
  );
  const notes = rows.slice(0, limit).map(({ micros: _, ...row }) => noteOf(row));
  const last = rows[limit - 1];
  return rows.length > limit && last !== undefined ? { notes, next: { micros: last.micros, id: last.id } } : { notes };
}

export async function countNotes(db: Queryable, tenant: string): Promise<number> {
  const { rows } = await db.query<{ count: number }>("select count(*)::int from notes where tenant_id = $1", [tenant]);
  return rows[0]?.count ?? 0;
}

/** `taken`: the id belongs to a note that says something else. */
export type Creation =
  | { readonly kind: "created" | "repeated"; readonly note: Note }
  | { readonly kind: "taken" }
  | { readonly kind: "no-notebook" };

/** Call it in a transaction; the note and its job appear together or not at all. */
export async function createNote(db: Queryable, tenant: string, draft: NoteDraft): Promise<Creation> {
  const notebook = draft.notebook ?? seedIds.welcomeNotebook;
  if (!(await lockNotebook(db, tenant, notebook))) return { kind: "no-notebook" };
  const { rows } = await db.query<{ id: string }>(
    `insert into notes (tenant_id, id, notebook_id, author_id, title, body)
     values ($1, coalesce($2, uuidv7()), $3, $4, $5, $6) on conflict (tenant_id, id) do nothing returning id`,
    [tenant, draft.id ?? null, notebook, seedIds.owner, draft.title, draft.body],
  );
  const id = rows[0]?.id ?? draft.id;
  if (id === undefined) throw new Error("An insert without an id returned none");
  if (rows[0] !== undefined) {
    await setTags(db, tenant, id, draft.tags);
    await enqueue(db, tenant, "note-written", id);
  }
  const note = await readNote(db, tenant, id);
  if (note === undefined) return { kind: "taken" }; // Deleted between our insert and our read.
  if (rows[0] !== undefined) return { kind: "created", note };
  return says(note, { ...draft, notebook }) ? { kind: "repeated", note } : { kind: "taken" };
}

/** `stale`: the note has another revision than the caller expected. */
export type Replacement =
  | { readonly kind: "replaced"; readonly note: Note }
  | { readonly kind: "stale"; readonly revision: number }
  | { readonly kind: "no-note" }
  | { readonly kind: "no-notebook" };

/** Call it in a transaction. `expected` is the revision the caller saw; undefined = any. A repeat changes nothing. */
export async function replaceNote(
  db: Queryable,
  tenant: string,
  id: string,
  draft: NoteDraft,
  expected: number | undefined,
): Promise<Replacement> {
  await db.query("select from notes where tenant_id = $1 and id = $2 for no key update", [tenant, id]);
  const current = await readNote(db, tenant, id);
  if (current === undefined) return { kind: "no-note" };
  if (expected !== undefined && expected !== current.revision) return { kind: "stale", revision: current.revision };

  const notebook = draft.notebook ?? current.notebook;
  if (!(await lockNotebook(db, tenant, notebook))) return { kind: "no-notebook" };
  if (says(current, { ...draft, notebook })) return { kind: "replaced", note: current };
  await db.query(
    `insert into note_revisions (tenant_id, note_id, revision, title, body)
     select tenant_id, id, revision, title, body from notes where tenant_id = $1 and id = $2`,
    [tenant, id],
  );
  await db.query(
    `update notes set notebook_id = $3, title = $4, body = $5, revision = revision + 1, updated_at = now()
     where tenant_id = $1 and id = $2`,
    [tenant, id, notebook, draft.title, draft.body],
  );
  await setTags(db, tenant, id, draft.tags);
  await enqueue(db, tenant, "note-written", id);
  const note = await readNote(db, tenant, id);
  return note === undefined ? { kind: "no-note" } : { kind: "replaced", note };
}

/** False when there was none. Revisions, tags and stats of the note go with it; the job takes it out of the index. */
export async function deleteNote(db: Queryable, tenant: string, id: string): Promise<boolean> {
  const { rowCount } = await db.query("delete from notes where tenant_id = $1 and id = $2", [tenant, id]);
  if (rowCount !== 1) return false;
  await enqueue(db, tenant, "note-written", id);
  return true;
}

export interface Notebook {
  readonly id: string;
  readonly name: string;
  readonly notes: number;
}

export async function listNotebooks(db: Queryable, tenant: string): Promise<readonly Notebook[]> {
  const { rows } = await db.query<Notebook>(
    `select b.id, b.name, count(n.id)::int as notes from notebooks b
     left join notes n on n.tenant_id = b.tenant_id and n.notebook_id = b.id
     where b.tenant_id = $1 group by b.tenant_id, b.id order by b.name limit 1000`,
    [tenant],
  );
  return rows;
}

/** Whether it exists; if so it stays until our commit. */
async function lockNotebook(db: Queryable, tenant: string, id: string): Promise<boolean> {
  const { rowCount } = await db.query("select from notebooks where tenant_id = $1 and id = $2 for key share", [
    tenant,
    id,
  ]);
  return rowCount === 1;
}

async function setTags(db: Queryable, tenant: string, note: string, names: readonly string[]): Promise<void> {
  // One order for everybody: two writers that add the same new tags then wait for each other instead of deadlocking.
  const ordered = [...names].sort();
  await db.query(
    "insert into tags (tenant_id, name) select $1, name from unnest($2::text[]) as name on conflict do nothing",
    [tenant, ordered],
  );
  await db.query(
    `delete from note_tags where tenant_id = $1 and note_id = $2 and tag_id not in
       (select id from tags where tenant_id = $1 and name = any ($3::text[]))`,
    [tenant, note, ordered],
  );
  await db.query(
    `insert into note_tags (tenant_id, note_id, tag_id)
     select $1, $2, id from tags where tenant_id = $1 and name = any ($3::text[]) on conflict do nothing`,
    [tenant, note, ordered],
  );
}

function says(note: Note, draft: NoteDraft): boolean {
  return (
    note.title === draft.title &&
    note.body === draft.body &&
    note.notebook === draft.notebook &&
    [...note.tags].sort().join("\n") === [...draft.tags].sort().join("\n")
  );
}
