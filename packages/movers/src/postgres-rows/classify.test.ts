import type { MoverPolicy } from "@stampyard/domain";
import { expect, test } from "vitest";
import { classifyTables } from "./classify.ts";
import type { ColumnFacts, TableFacts } from "./tables.ts";

const policy: MoverPolicy = { tenantColumn: "tenant_id", ids: {}, via: {}, reference: [], ignored: [] };
const column = (name: string, more: Partial<ColumnFacts> = {}): ColumnFacts => {
  return { name, type: "text", notNull: true, isGenerated: false, identity: "none", ...more };
};
const primary = { name: "pk", columns: ["tenant_id", "id"], isPrimary: true, notNull: true };

function table(name: string, more: Partial<TableFacts> = {}): TableFacts {
  return {
    schema: "public",
    table: name,
    kind: "table",
    persistence: "permanent",
    columns: [column("tenant_id"), column("id", { type: "uuid" })],
    keys: [primary],
    partialUnique: [],
    foreignKeys: [],
    forcesRowSecurity: false,
    inheritsFrom: [],
    rules: [],
    rows: 0,
    bytes: 0,
    ...more,
  };
}

const pointsAt = (to: string) => [
  { name: `to_${to}`, columns: ["x"], to: { schema: "public", table: to }, toColumns: ["id"] },
];
const problemsOf = (facts: readonly TableFacts[], changed: Partial<MoverPolicy> = {}) =>
  classifyTables(facts, { ...policy, ...changed }).problems.map(({ table: name, what }) => `${name} ${what}`);

test("classifyTables() puts parents before children, and partitions into their table", () => {
  const facts = [
    table("a_lines", { foreignKeys: pointsAt("orders") }),
    table("orders", { foreignKeys: [...pointsAt("customers"), ...pointsAt("orders")] }),
    table("customers"),
    table("customers_1", { kind: "partition" }),
  ];
  const plan = classifyTables(facts, policy);
  expect(plan.problems).toEqual([]);
  expect(plan.tables.map(({ table: name }) => name)).toEqual(["customers", "orders", "a_lines"]);
});

test("classifyTables() refuses what it cannot sort, rather than leave it behind", () => {
  const unknown = table("settings", { columns: [column("id")], keys: [{ ...primary, columns: ["id"] }] });
  expect(problemsOf([unknown])[0]).toContain("public.settings has no column tenant_id");
  expect(problemsOf([unknown], { reference: ["settings"] })).toEqual([]);
  expect(problemsOf([unknown], { ignored: ["public.settings"] })).toEqual([]);
  expect(problemsOf([], { ignored: ["settings"] })).toEqual(["settings is named by the template and does not exist"]);
});

test.each([
  ["unlogged", { persistence: "unlogged" }, "is unlogged"],
  [
    "a nullable tenant",
    { columns: [column("tenant_id", { notNull: false }), column("id", { type: "uuid" })] },
    "lets tenant_id be null",
  ],
  ["no key", { keys: [] }, "has no key that names one row"],
  ["a nullable key", { keys: [{ ...primary, notNull: false }] }, "has no key that names one row"],
  ["a rule", { rules: ["redirect"] }, "has the rule redirect"],
  ["inheritance", { inheritsFrom: [{ schema: "public", table: "old" }] }, "inherits from another table"],
  ["a foreign table", { kind: "foreign" }, "is a foreign table"],
  [
    "a partial unique index",
    { partialUnique: [{ name: "one_open", columns: ["x"] }] },
    "has the unique index one_open",
  ],
] as const)("classifyTables() refuses a table with %s, and says how to mend it", (_, more, what) => {
  const { problems, tables } = classifyTables([table("t", more as Partial<TableFacts>)], policy);
  expect(problems[0]?.what).toContain(what);
  expect(problems[0]?.mend).not.toBe("");
  expect(tables).toEqual([]);
});

test("classifyTables() refuses numbers that two stamps may both give out (D14, I24)", () => {
  const numbered = [column("tenant_id"), column("id", { type: "bigint", sequence: "public.t_id_seq" })];
  const alone = table("t", { columns: numbered, keys: [{ ...primary, columns: ["id"] }] });
  const withTenant = table("t", { columns: numbered });
  expect(problemsOf([alone])).toHaveLength(2);
  expect(problemsOf([withTenant])[0]).toContain("numbers its rows by a sequence of each stamp (id)");
  for (const ids of [{ kind: "block", size: 1_000 } as const, { kind: "stride", of: 4 } as const]) {
    expect(problemsOf([alone], { ids: { t: ids } })).toEqual([]);
    expect(problemsOf([alone], { ids: { t_id_seq: ids } })).toEqual([]);
    expect(problemsOf([withTenant], { ids: { "public.t": ids } })).toEqual([]);
  }
  const email = { name: "t_email", columns: ["email"], isPrimary: false, notNull: true };
  const withEmail = table("t", { columns: [...table("t").columns, column("email")], keys: [primary, email] });
  expect(problemsOf([withEmail], { ids: { t: { kind: "block", size: 1_000 } } })[0]).toContain(
    "the unique key t_email (email) without tenant_id",
  );
});

test("classifyTables() refuses a row that points at what stays, and a circle", () => {
  const child = table("child", { foreignKeys: pointsAt("countries") });
  const countries = table("countries", { columns: [column("id")], keys: [{ ...primary, columns: ["id"] }] });
  expect(problemsOf([child, countries], { ignored: ["countries"] })[0]).toContain(
    "points at public.countries (to_countries)",
  );
  expect(problemsOf([child, countries], { reference: ["countries"] })).toEqual([]);
  const circle = [table("a", { foreignKeys: pointsAt("b") }), table("b", { foreignKeys: pointsAt("a") })];
  expect(problemsOf(circle)).toHaveLength(2);
});

test("classifyTables() finds the tenant of a row by the foreign keys that the template names", () => {
  const id = { name: "pk", columns: ["id"], isPrimary: true, notNull: true };
  const orders = table("orders");
  const lines = table("lines", {
    columns: [column("order_id", { type: "uuid" }), column("line", { type: "integer" })],
    keys: [{ ...id, columns: ["order_id", "line"] }],
    foreignKeys: [
      { name: "to_orders", columns: ["order_id"], to: { schema: "public", table: "orders" }, toColumns: ["id"] },
    ],
  });
  const via = { lines: ["orders"] };
  const { tables, problems } = classifyTables([orders, lines], { ...policy, via });
  expect(problems).toEqual([]);
  expect(tables.map((one) => [one.table, one.tenantColumn, one.via])).toEqual([
    ["orders", "tenant_id", undefined],
    ["lines", "tenant_id", [{ columns: ["order_id"], to: { schema: "public", table: "orders" }, toColumns: ["id"] }]],
  ]);
  expect(problemsOf([orders, lines])[0]).toContain("public.lines has no column tenant_id");
  expect(problemsOf([orders, { ...lines, foreignKeys: [] }], { via })[0]).toContain("no foreign key on its path");
  const twice = { ...lines, foreignKeys: [...lines.foreignKeys, ...lines.foreignKeys] };
  expect(problemsOf([orders, twice], { via })[0]).toContain("several foreign keys from public.lines to public.orders");
  const loose = { ...lines, columns: lines.columns.map((one) => ({ ...one, notNull: false })) };
  expect(problemsOf([orders, loose], { via })[0]).toContain("may point at nothing");
  const apart = table("orders", { columns: [column("id", { type: "uuid" })], keys: [id] });
  const ends = problemsOf([apart, lines], { via, reference: ["orders"] });
  expect(ends[0]).toContain("has a path that ends at public.orders, which has no column tenant_id");
});

test.each([
  ["oid", "id", "values mean something in one database only"],
  ["regclass[]", "body", "values mean something in one database only"],
  ["double precision", "id", "values cannot be written down exactly"],
  ["integer[]", "id", "values cannot be written down exactly"],
])("classifyTables() refuses %s in the column %s", (type, name, what) => {
  const columns = [column("tenant_id"), column("id"), column("body")].map((one) => ({
    ...one,
    ...(one.name === name ? { type } : {}),
  }));
  expect(problemsOf([table("t", { columns })])[0]).toContain(what);
});

test("classifyTables() lets unique indexes be that hold the tenant, whatever else they are made of", () => {
  const open = { name: "one_open", columns: ["tenant_id", "state"] };
  expect(problemsOf([table("t", { partialUnique: [open] })])).toEqual([]);
});
