import { expect, test } from "vitest";
import type { Queryable } from "./database.ts";
import { buildIndex, indexNote, searchNotes } from "./search.ts";
import { memorySearch } from "./test-search.ts";

const acme = { tenant: "acme", epoch: 2 };

/** Rows of notes, page by page as PostgreSQL gives them. */
function tableOf(count: number): { readonly db: Queryable; readonly asked: () => number } {
  const rows = Array.from({ length: count }, (_, n) => ({
    id: String(n).padStart(8, "0"),
    revision: 1,
    title: `Note ${n}`,
    body: n % 2 === 0 ? "even" : "odd",
  }));
  let asked = 0;
  const query = async (_sql: string, [, after, limit]: readonly [string, string | null, number?]) => {
    asked++;
    if (limit === undefined) return { rows: rows.filter(({ id }) => id === after) };
    return { rows: rows.filter(({ id }) => after === null || id > after).slice(0, limit) };
  };
  return { db: { query } as unknown as Queryable, asked: () => asked };
}

test("a search without an index builds it of every page, and the next one finds it", async () => {
  const index = memorySearch();
  const { db, asked } = tableOf(450);
  expect(await searchNotes(db, index, acme, ["even"])).toMatchObject({ isBuilt: true, ids: { length: 225 } });
  const before = asked();
  expect(await searchNotes(db, index, acme, ["note", "448"])).toEqual({ isBuilt: false, ids: ["00000448"] });
  expect(asked()).toBe(before);
});

test("an index is of one epoch: after a move nothing of before is found until it is made again", async () => {
  const index = memorySearch();
  const { db } = tableOf(3);
  await buildIndex(db, index, { ...acme, epoch: 1 });
  expect(await index.find(acme, ["note"])).toBeUndefined();
  await buildIndex(db, index, acme);
  expect((await searchNotes(db, index, acme, ["note"]))?.isBuilt).toBe(false);
});

test("indexNote() brings a note in as it is now, and takes one out that is gone", async () => {
  const index = memorySearch();
  const { db } = tableOf(1);
  await index.build(acme, async function* () {
    yield [{ id: "gone", revision: 9, words: ["note"] }];
  });
  await indexNote(db, index, acme, "00000000");
  await indexNote(db, index, acme, "gone");
  expect(await index.find(acme, ["note"])).toEqual(["00000000"]);
});
