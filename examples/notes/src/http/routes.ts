import { inTransaction } from "../database.ts";
import { readWorkspaceStats } from "../note-stats.ts";
import {
  countNotes,
  createNote,
  deleteNote,
  listNotebooks,
  listNotes,
  type Note,
  readNote,
  replaceNote,
} from "../notes.ts";
import { attachmentRoutes } from "./attachment-routes.ts";
import type { Call, Reply, Route, Services } from "./call.ts";
import { isUuid, readDraft, readIfMatch, readPaging, writeCursor } from "./input.ts";
import { overviewPage, prefersHtml } from "./page.ts";
import { Problem } from "./problem.ts";
import { searchRoutes } from "./search-routes.ts";

/** Everything a tenant can ask. */
export const routes: readonly Route[] = [
  { method: "GET", path: "/", handle: overview },
  { method: "GET", path: "/whoami", handle: whoAmI },
  { method: "GET", path: "/stats", handle: stats },
  { method: "GET", path: "/notebooks", handle: notebooks },
  { method: "GET", path: "/notes", handle: list },
  { method: "POST", path: "/notes", handle: create },
  { method: "GET", path: "/notes/:id", handle: read },
  { method: "PUT", path: "/notes/:id", handle: replace },
  { method: "DELETE", path: "/notes/:id", handle: remove },
  ...attachmentRoutes,
  ...searchRoutes,
];

async function overview({ identity, pool, cache }: Services, call: Call): Promise<Reply> {
  const { tenant, epoch } = call;
  const { value: notes, from } = await cache.through(call, "count", () => countNotes(pool, tenant));
  const facts = { tenant, ...identity, epoch, notes, served_by: process.pid };
  const headers = { vary: "accept", ...cachedFrom(from) };
  if (!prefersHtml(call.headers.accept)) return { status: 200, json: facts, headers };
  const { notes: latest } = await listNotes(pool, tenant, 10);
  return { status: 200, html: overviewPage(facts, latest), headers };
}

async function whoAmI({ identity, pool }: Services, { tenant, epoch }: Call): Promise<Reply> {
  const { rows } = await pool.query<{ name: string; users: readonly string[] }>(
    `select a.name, array(select u.name from users u where u.tenant_id = a.tenant_id order by u.name limit 100) as users
     from accounts a where a.tenant_id = $1`,
    [tenant],
  );
  const [account] = rows;
  if (account === undefined) throw notReady();
  return { status: 200, json: { tenant, epoch, account: account.name, users: account.users, ...identity } };
}

async function stats({ pool, cache }: Services, call: Call): Promise<Reply> {
  const { value, from } = await cache.through(call, "stats", () => readWorkspaceStats(pool, call.tenant));
  return { status: 200, json: value, headers: cachedFrom(from) };
}

async function notebooks({ pool }: Services, { tenant }: Call): Promise<Reply> {
  return { status: 200, json: { notebooks: await listNotebooks(pool, tenant) } };
}

async function list({ pool, cache }: Services, call: Call): Promise<Reply> {
  const { limit, after } = readPaging(call.query);
  const name = `list:${limit}:${after === undefined ? "" : writeCursor(after)}`;
  const { value, from } = await cache.through(call, name, async () => {
    const page = await listNotes(pool, call.tenant, limit, after);
    return page.next === undefined ? { notes: page.notes } : { notes: page.notes, next: writeCursor(page.next) };
  });
  return { status: 200, json: value, headers: cachedFrom(from) };
}

async function create({ pool, cache, wakeUps }: Services, call: Call): Promise<Reply> {
  const draft = readDraft(await call.json());
  const made = await inTransaction(pool, async (db) => {
    await requireAccount(db, call.tenant);
    return await createNote(db, call.tenant, draft);
  });
  if (made.kind === "no-notebook") throw noNotebook();
  if (made.kind === "taken") throw new Problem(409, "id-taken", "Another note has this id");
  await cache.drop(call);
  wakeUps.wake();
  // The location is relative: a router may have taken a path prefix away, and only the client knows it.
  const status = made.kind === "created" ? 201 : 200;
  return { status, json: made.note, headers: { ...revisionTag(made.note), location: `notes/${made.note.id}` } };
}

async function read({ pool }: Services, call: Call): Promise<Reply> {
  const note = await readNote(pool, call.tenant, noteId(call));
  if (note === undefined) throw noNote();
  return { status: 200, json: note, headers: revisionTag(note) };
}

async function replace({ pool, cache, wakeUps }: Services, call: Call): Promise<Reply> {
  const id = noteId(call);
  const expected = readIfMatch(call.headers["if-match"]);
  const draft = readDraft(await call.json());
  if (draft.id !== undefined && draft.id !== id) throw new Problem(422, "invalid-note", "id differs from the path");
  const outcome = await inTransaction(pool, (db) => replaceNote(db, call.tenant, id, draft, expected));
  switch (outcome.kind) {
    case "no-note":
      throw noNote();
    case "no-notebook":
      throw noNotebook();
    case "stale":
      throw new Problem(412, "stale-revision", `The note is at revision ${outcome.revision}`);
    case "replaced":
      await cache.drop(call);
      wakeUps.wake();
      return { status: 200, json: outcome.note, headers: revisionTag(outcome.note) };
  }
}

async function remove({ pool, cache }: Services, call: Call): Promise<Reply> {
  if (!(await inTransaction(pool, (db) => deleteNote(db, call.tenant, noteId(call))))) throw noNote();
  await cache.drop(call);
  return { status: 204 };
}

/** A note can exist only in a workspace that the tenant hook made; say that, instead of "no such notebook". */
async function requireAccount(db: Pick<Services["pool"], "query">, tenant: string): Promise<void> {
  const { rowCount } = await db.query("select from accounts where tenant_id = $1 for key share", [tenant]);
  if (rowCount !== 1) throw notReady();
}

function noteId({ params }: Call): string {
  const id = params["id"] ?? "";
  if (!isUuid(id)) throw noNote();
  return id;
}

function revisionTag({ revision }: Note): Readonly<Record<string, string>> {
  return { etag: `"${revision}"` };
}

function cachedFrom(from: "cache" | "database"): Readonly<Record<string, string>> {
  return { "x-notes-from": from };
}

function noNote(): Problem {
  return new Problem(404, "no-note", "There is no such note");
}

function noNotebook(): Problem {
  return new Problem(422, "no-notebook", "There is no such notebook");
}

function notReady(): Problem {
  return new Problem(503, "workspace-not-ready", "The workspace is not ready", { "retry-after": "1" });
}
