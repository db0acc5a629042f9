import { sqlStateOf } from "../database.ts";
import { readNotes } from "../notes.ts";
import { searchNotes } from "../search.ts";
import { wordsOf } from "../search-words.ts";
import type { Call, Reply, Route, Services } from "./call.ts";
import { readPaging } from "./input.ts";
import { Problem } from "./problem.ts";

export const searchRoutes: readonly Route[] = [{ method: "GET", path: "/search", handle: search }];

const mostWords = 10;

/** Newest first. `x-notes-index` says whether the index was there, or had to be built for this request. */
async function search({ pool, search: index }: Services, call: Call): Promise<Reply> {
  const { limit } = readPaging(call.query);
  const words = wordsOf(call.query.get("q") ?? "");
  if (words.length === 0 || words.length > mostWords) {
    throw new Problem(400, "invalid-search", `q must have 1 to ${mostWords} words`);
  }
  const found = await searchNotes(pool, index, call, words).catch((caught: unknown) => {
    // The database says by itself what is wrong with it; else it was the index.
    if (sqlStateOf(caught) !== undefined) throw caught;
    throw away("The search index does not answer right now");
  });
  if (found === undefined) throw away("The search index is being built");
  const notes = await readNotes(pool, call.tenant, found.ids, limit);
  return { status: 200, json: { notes }, headers: { "x-notes-index": found.isBuilt ? "built" : "kept" } };
}

function away(message: string): Problem {
  return new Problem(503, "search-unavailable", message, { "retry-after": "1" });
}
