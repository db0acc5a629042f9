import { inTransaction } from "../database.ts";
import { addAttachment, listAttachments, readAttachment } from "../attachments.ts";
import { mostObjectBytes } from "../objects.ts";
import type { Call, Reply, Route, Services } from "./call.ts";
import { isUuid } from "./input.ts";
import { Problem } from "./problem.ts";

export const attachmentRoutes: readonly Route[] = [
  { method: "GET", path: "/notes/:id/attachments", handle: list },
  { method: "POST", path: "/notes/:id/attachments", handle: add },
  { method: "GET", path: "/attachments/:id", handle: read },
];

async function list({ pool }: Services, { tenant, params }: Call): Promise<Reply> {
  return { status: 200, json: { attachments: await listAttachments(pool, tenant, idOf(params)) } };
}

/** The bytes first, then the row that says so: an object without a row is swept, a row without an object is a lie. */
async function add({ pool, objects, uploads }: Services, call: Call): Promise<Reply> {
  const { tenant, params, query, headers } = call;
  const note = idOf(params);
  const name = query.get("name") ?? "";
  if (!/^[^/\\\p{Control}]{1,100}$/u.test(name)) {
    throw new Problem(422, "invalid-name", "name must be a file name of 1 to 100 characters");
  }
  const type = /^[\w.+-]{1,60}\/[\w.+-]{1,60}$/.exec(headers["content-type"] ?? "")?.[0] ?? "application/octet-stream";
  return await uploads.during(tenant, async () => {
    const bytes = await call.bytes(mostObjectBytes);
    const sha256 = await objects.put(tenant, bytes);
    const added = await inTransaction(pool, (db) => {
      return addAttachment(db, tenant, { note, name, type, size: bytes.length, sha256 });
    });
    if (added === undefined) throw new Problem(404, "no-note", "There is no such note");
    return { status: 201, json: added, headers: { location: `attachments/${added.id}` } };
  });
}

async function read({ pool, objects }: Services, { tenant, params }: Call): Promise<Reply> {
  const found = await readAttachment(pool, tenant, idOf(params));
  if (found === undefined) throw new Problem(404, "no-attachment", "There is no such attachment");
  const bytes = await objects.get(tenant, found.sha256);
  if (bytes === undefined) throw new Problem(503, "object-missing", "Its bytes are not here", { "retry-after": "5" });
  // A browser must not run what somebody has uploaded.
  const headers = { "content-type": found.type, "content-disposition": "attachment", etag: `"${found.sha256}"` };
  return { status: 200, bytes, headers };
}

function idOf(params: Call["params"]): string {
  const id = params["id"] ?? "";
  if (!isUuid(id)) throw new Problem(404, "no-note", "There is no such note");
  return id;
}
