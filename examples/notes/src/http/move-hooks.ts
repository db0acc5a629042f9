import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { HookPassage } from "@stampyard/guard";
import { readWorkspaceStats } from "../note-stats.ts";
import { countNotes } from "../notes.ts";
import type { ObjectStore } from "../objects.ts";
import { buildIndex } from "../search.ts";
import type { Reply, Services } from "./call.ts";
import { Problem } from "./problem.ts";

/**
 * What a move has to know of this application. Rows travel by themselves, jobs with them; objects do not: the source
 * answers where they can be fetched, with a ticket for this tenant and some minutes, and the target fetches what it lacks.
 */

/** Also the path that the target fetches from; no router passes it on, because the ticket is all that it asks for. */
export const exportPath = "/exports";
const ticketMs = 10 * 60_000;
/** Of this process: after a restart the hook is called again and gives a new one. */
const ticketKey = randomBytes(32);
const parallel = 4;

/** Work of the tenant that is in no table yet. Jobs are rows: they move with their tenant and are no reason to wait. */
export async function drained({ uploads }: Services, { tenant }: HookPassage): Promise<Reply> {
  return { status: 200, json: { pending: uploads.pending(tenant) } };
}

export async function exported(request: IncomingMessage, { tenant }: HookPassage, now: number): Promise<Reply> {
  const { localPort } = request.socket;
  const until = now + ticketMs;
  const url = `http://127.0.0.1:${localPort}${exportPath}?tenant=${tenant}&until=${until}&ticket=${ticketOf(tenant, until)}`;
  return { status: 200, json: { url } };
}

/** Fetches what is not here yet; called again, or for the last time in the pause, it is a list and little more. */
export async function imported({ objects }: Services, { tenant }: HookPassage, input: unknown): Promise<Reply> {
  const { url } = (input as { export?: { url?: unknown } }).export ?? {};
  if (typeof url !== "string" || !URL.canParse(url)) throw new Problem(422, "no-export", "There is no export to fetch");
  const there = (await fetched(url).then((answer) => answer.json())) as { objects: readonly string[] };
  const here = new Set(await objects.list(tenant));
  const missing = there.objects.filter((sha256) => !here.has(sha256));
  const lanes = Array.from({ length: parallel }, async () => {
    for (let next = missing.pop(); next !== undefined; next = missing.pop()) await bring(objects, tenant, url, next);
  });
  await Promise.all(lanes);
  return { status: 204 };
}

/** A name that is a digest proves its bytes. */
async function bring(objects: ObjectStore, tenant: string, url: string, sha256: string): Promise<void> {
  const bytes = new Uint8Array(await (await fetched(`${url}&object=${sha256}`)).arrayBuffer());
  const stored = await objects.put(tenant, bytes);
  if (stored !== sha256) throw new Problem(502, "damaged", `Object ${sha256} arrived as ${stored}`);
}

async function fetched(url: string): Promise<Response> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(10_000), redirect: "error" });
  if (!answer.ok) throw new Problem(502, "export-refused", `The source answered ${answer.status}`);
  return answer;
}

/**
 * Derived data is made again instead of moved: the search index, and the cache of the new epoch, before its readers come
 * all at once. Another build of the index that began later finishes instead of ours.
 */
export async function rebuilt({ pool, cache, search }: Services, { tenant, epoch }: HookPassage): Promise<Reply> {
  await buildIndex(pool, search, { tenant, epoch });
  await cache.through({ tenant, epoch }, "count", () => countNotes(pool, tenant));
  await cache.through({ tenant, epoch }, "stats", () => readWorkspaceStats(pool, tenant));
  return { status: 204 };
}

/** Not for tenants: another stamp asks, with the ticket that the export hook gave. */
export async function serveExport({ objects }: Services, request: IncomingMessage, now: number): Promise<Reply> {
  const { searchParams } = new URL(`http://notes${request.url ?? "/"}`);
  const [tenant, until, ticket, object] = ["tenant", "until", "ticket", "object"].map(
    (name) => searchParams.get(name) ?? "",
  );
  if (!isTicket(tenant ?? "", Number(until), ticket ?? "") || now > Number(until)) {
    throw new Problem(403, "no-ticket", "The ticket is not valid, or not any more");
  }
  if (object === "") return { status: 200, json: { objects: await objects.list(tenant ?? "") } };
  const bytes = await objects.get(tenant ?? "", object ?? "");
  if (bytes === undefined) throw new Problem(404, "no-object", "There is no such object");
  return { status: 200, bytes, headers: { "content-type": "application/octet-stream" } };
}

function ticketOf(tenant: string, until: number): string {
  return createHmac("sha256", ticketKey).update(`${tenant};${until}`).digest("hex");
}

function isTicket(tenant: string, until: number, ticket: string): boolean {
  const expected = Buffer.from(ticketOf(tenant, until));
  const given = Buffer.from(ticket);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
