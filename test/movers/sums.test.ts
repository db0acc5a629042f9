import { afterAll, beforeAll, expect, test } from "vitest";
import { canonicalTables, type ComparedTable } from "../../packages/movers/src/postgres-rows/canonical.ts";
import { sumBoth } from "../../packages/movers/src/postgres-rows/compare.ts";
import { type Cluster, startCluster, type TestDatabase } from "./cluster.ts";

let cluster: Cluster;
let bare: TestDatabase;

const table: ComparedTable = {
  schema: "public",
  table: "things",
  tenantColumn: "tenant_id",
  key: ["tenant_id", "id"],
  columns: ["tenant_id", "id", "n", "big", "given", "family", "note", "price", "code", "body", "at"],
};

beforeAll(async () => {
  cluster = await startCluster();
  bare = await cluster.database();
  await bare.run(
    "stampyard_owner",
    `create collation blunt (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
     create table things (
       tenant_id text not null, id uuid not null, n int not null, big bigint not null, given text not null,
       family varchar(40) not null, note text, price numeric not null, code text collate blunt not null, body jsonb not null,
       at timestamptz, primary key (tenant_id, id));
     insert into things select 'acme', md5(i::text)::uuid, i, -i, 'Ann ' || i, 'Ash ' || i, case when i > 2 then 'n' end, 1.5,
       'abc', '{"v": 1.0}', '2026-01-01' from generate_series(1, 5) i;`,
  );
});
afterAll(() => cluster[Symbol.asyncDispose]());

const row = (n: number) => `tenant_id = 'acme' and n = ${n}`;
test.each([
  ["a value", `update things set given = 'Bob' where ${row(1)}`],
  ["two values of a row that change places", `update things set given = family, family = given where ${row(2)}`],
  [
    "values that change places with another row",
    "update things set big = -(case n when 1 then 2 else 1 end) where n < 3",
  ],
  [
    "names that change places with another row",
    "update things set given = 'Ann ' || case n when 1 then 2 else 1 end where n < 3",
  ],
  ["nothing where there was something", `update things set note = null where ${row(3)}`],
  ["an empty text where there was nothing", `update things set note = '' where ${row(1)}`],
  ["a number with another scale", `update things set price = 1.50 where ${row(4)}`],
  ["a text that its collation calls equal", `update things set code = 'ABC' where ${row(4)}`],
  ["a document with another scale", `update things set body = '{"v": 1.00}' where ${row(5)}`],
  ["a moment", `update things set at = at + interval '1 microsecond' where ${row(5)}`],
  ["two rows the less", "delete from things where n < 3"],
  [
    "a row twice, under another key",
    `insert into things select tenant_id, md5('x')::uuid, n, big, given, family, note, price, code,
     body, at from things where n = 1`,
  ],
])("sumBoth() tells %s apart (D15)", async (_, sql) => {
  const [here, there] = [await cluster.database(bare), await cluster.database(bare)];
  await using source = await here.connect("postgres");
  await using target = await there.connect("postgres");
  const [canonical] = await canonicalTables(source, target, [table]);
  if (canonical === undefined) throw new Error("No table");
  // All of a quick hash, one after the other, and the rest as bytes: or this proves nothing of the quick ones.
  expect(canonical.sums.of).toMatch(
    /^hashtextextended\(t\."family", hashtextextended\(t\."given".*hash_record_extended/,
  );
  expect(await sumBoth(source, target, canonical, "acme", {})).toMatchObject({ isEqual: true, sourceRows: 5 });
  await target.query(sql);
  expect(await sumBoth(source, target, canonical, "acme", {})).toMatchObject({ isEqual: false });
});
