import type { TenantTable } from "./fence-sql.ts";
import { identifier, qualified, type TableName } from "./sql.ts";
import type { KeyFacts, TableFacts } from "./tables.ts";

/** What the template says of its database, as far as moves need it. */
export interface RowsPolicy {
  readonly tenantColumn: string;
  /** Table (`schema.table`, or its name alone in `public`) to how its ids stay unique over all stamps. */
  readonly ids: Readonly<Record<string, "uuid" | "composite" | "block" | "stride">>;
  /** The same in every stamp, made by migrations: never moved. */
  readonly reference: readonly string[];
  /** Belongs to no tenant and stays where it is, e.g. a migration tool's own table. */
  readonly ignored: readonly string[];
}

/** A table of the plan, in the order in which rows may be inserted: parents before children. */
export interface MoveTable extends TenantTable {
  /** Columns that are copied: all but the generated. */
  readonly columns: readonly string[];
  readonly rows: number;
  readonly bytes: number;
}

export interface TableProblem {
  /** `schema.table`. */
  readonly table: string;
  readonly what: string;
  /** What to do; SQL where SQL is what mends it. */
  readonly mend: string;
}

export interface RowsPlan {
  readonly tables: readonly MoveTable[];
  readonly reference: readonly TableName[];
  readonly ignored: readonly TableName[];
  /** A move is refused while there is any, and nothing has been changed. */
  readonly problems: readonly TableProblem[];
}

/**
 * Sorts every table into tenant, reference or ignored. What fits nowhere is a problem, never a guess: a forgotten table
 * would stay behind.
 */
export function classifyTables(facts: readonly TableFacts[], policy: RowsPolicy): RowsPlan {
  const problems: TableProblem[] = [];
  const reference = facts.filter((table) => isNamed(table, policy.reference));
  const ignored = facts.filter((table) => !isNamed(table, policy.reference) && isNamed(table, policy.ignored));
  const rest = facts.filter((table) => !reference.includes(table) && !ignored.includes(table));
  const moved: MoveTable[] = [];
  for (const table of rest) {
    if (table.kind === "partition") continue;
    const plan = planTable(table, policy, problems);
    if (plan !== undefined) moved.push(plan);
  }
  for (const name of [...policy.reference, ...policy.ignored, ...Object.keys(policy.ids)]) {
    if (facts.some((table) => isNamed(table, [name]))) continue;
    const mend = "Correct its name in the template, or take it out.";
    problems.push({ table: name, what: "is named by the template and does not exist", mend });
  }
  const inMove = new Set(moved.map(qualified));
  checkReferences(rest, inMove, new Set(reference.map(qualified)), problems);
  const order = parentsFirst(moved, facts, problems);
  return { tables: order, reference, ignored, problems };
}

function planTable(table: TableFacts, policy: RowsPolicy, problems: TableProblem[]): MoveTable | undefined {
  const before = problems.length;
  const refuse = (what: string, mend: string) => problems.push({ table: nameOf(table), what, mend });
  const { tenantColumn } = policy;
  const column = table.columns.find((candidate) => candidate.name === tenantColumn);
  if (column === undefined) {
    const mend = `Add the column, or name the table under reference or ignored in the template: alter table ${qualified(table)} add column ${identifier(tenantColumn)} text;`;
    refuse(`has no column ${tenantColumn}, so nobody can say whose rows these are`, mend);
    return undefined;
  }
  if (!column.notNull) {
    refuse(
      `lets ${tenantColumn} be null, and a row without a tenant cannot be moved or written`,
      `alter table ${qualified(table)} alter column ${identifier(tenantColumn)} set not null;`,
    );
  }
  if (table.kind === "foreign") refuse("is a foreign table, whose rows are elsewhere", "Name it under ignored.");
  if (table.persistence === "unlogged") {
    refuse("is unlogged: its rows do not survive a crash", `alter table ${qualified(table)} set logged;`);
  }
  if (table.inheritsFrom.length > 0) {
    refuse(
      "inherits from another table outside of partitioning",
      "Turn it into a partition, or into a table of its own.",
    );
  }
  if (table.rules.length > 0)
    refuse(`has the rule ${table.rules[0]}, which rewrites writes`, "Replace it by a trigger.");
  const key = moveKey(table, tenantColumn);
  if (key === undefined) {
    refuse(
      `has no key that names one row of a tenant`,
      `Give it a primary key of ${tenantColumn} and its id, without nulls.`,
    );
  }
  checkUnique(table, policy, key, refuse);
  checkSequences(table, policy, key, refuse);
  if (key === undefined || problems.length > before) return undefined;
  return {
    schema: table.schema,
    table: table.table,
    tenantColumn,
    key: key.columns,
    columns: table.columns.filter((candidate) => !candidate.isGenerated).map((candidate) => candidate.name),
    rows: table.rows,
    bytes: table.bytes,
  };
}

/** A key with the tenant column if there is one, else the primary key: it names one row all the same. */
function moveKey(table: TableFacts, tenantColumn: string): KeyFacts | undefined {
  const usable = table.keys.filter((key) => key.notNull);
  return usable.find((key) => key.columns.includes(tenantColumn)) ?? usable.find((key) => key.isPrimary);
}

/** Two stamps may have given out the same value of a unique key that does not name the tenant (decision D14). */
function checkUnique(
  table: TableFacts,
  policy: RowsPolicy,
  key: KeyFacts | undefined,
  refuse: (what: string, mend: string) => void,
): void {
  const declared = declaredIds(table, policy);
  for (const unique of table.keys) {
    if (unique.columns.includes(policy.tenantColumn)) continue;
    const columns = unique.columns.map((name) => table.columns.find((column) => column.name === name));
    if (columns.some((column) => column?.type === "uuid")) continue;
    if (declared !== undefined && declared !== "composite" && (unique.isPrimary || unique === key)) continue;
    refuse(
      `has the unique key ${unique.name} (${unique.columns.join(", ")}) without ${policy.tenantColumn}: two stamps may use the same value`,
      `Add ${policy.tenantColumn} to it, use uuids, or declare the table's ids in the template (ids: block or stride).`,
    );
  }
  for (const name of table.partialUnique) {
    refuse(`has the unique index ${name} over an expression or a part of the table`, "Make it a plain unique index.");
  }
}

/**
 * Numbers that each stamp counts for itself meet again on the target, even where the key names the tenant: the target's
 * sequence knows nothing of the numbers that came with it (I24). A move never lifts a sequence, so a policy must say how
 * numbers stay apart.
 */
function checkSequences(
  table: TableFacts,
  policy: RowsPolicy,
  key: KeyFacts | undefined,
  refuse: (what: string, mend: string) => void,
): void {
  const declared = declaredIds(table, policy);
  if (declared === "block" || declared === "stride") return;
  const counted = table.columns.find(
    (column) =>
      key?.columns.includes(column.name) === true && (column.sequence !== undefined || column.identity !== "none"),
  );
  if (counted === undefined) return;
  refuse(
    `numbers its rows by a sequence of each stamp (${counted.name}), so a moved row may have the number of a later one`,
    "Declare the table's ids in the template (ids: block or stride), or use uuids.",
  );
}

function declaredIds(table: TableFacts, policy: RowsPolicy): RowsPolicy["ids"][string] | undefined {
  return policy.ids[nameOf(table)] ?? (table.schema === "public" ? policy.ids[table.table] : undefined);
}

/** A row of a moved table may only point at rows that go with it, or that are the same everywhere. */
function checkReferences(
  tables: readonly TableFacts[],
  moved: ReadonlySet<string>,
  reference: ReadonlySet<string>,
  problems: TableProblem[],
): void {
  for (const table of tables.filter((candidate) => moved.has(qualified(candidate)))) {
    for (const { name, to } of table.foreignKeys) {
      if (moved.has(qualified(to)) || reference.has(qualified(to))) continue;
      const mend = `Make ${nameOf(to)} movable, or name it under reference in the template.`;
      problems.push({ table: nameOf(table), what: `points at ${nameOf(to)} (${name}), which does not move`, mend });
    }
  }
}

/** Kahn's order over foreign keys, ties by name; a circle is a problem only where its keys cannot be deferred by a mode. */
function parentsFirst(
  moved: readonly MoveTable[],
  facts: readonly TableFacts[],
  problems: TableProblem[],
): readonly MoveTable[] {
  const byName = new Map(moved.map((table) => [qualified(table), table]));
  const parentsOf = (table: MoveTable) => {
    const own = facts.find((fact) => qualified(fact) === qualified(table));
    return (own?.foreignKeys ?? [])
      .map((key) => qualified(key.to))
      .filter((to) => to !== qualified(table) && byName.has(to));
  };
  const order: MoveTable[] = [];
  const waiting = new Map(moved.map((table) => [qualified(table), new Set(parentsOf(table))]));
  while (waiting.size > 0) {
    const free = [...waiting]
      .filter(([, parents]) => parents.size === 0)
      .map(([name]) => name)
      .sort();
    if (free.length === 0) {
      const circle = [...waiting.keys()].sort();
      for (const name of circle) {
        const table = byName.get(name);
        if (table === undefined) continue;
        const what = `is in a circle of foreign keys: ${circle.join(", ")}`;
        problems.push({
          table: nameOf(table),
          what,
          mend: "Drop one of these foreign keys, or check it by a trigger.",
        });
      }
      return order;
    }
    for (const name of free) {
      waiting.delete(name);
      const table = byName.get(name);
      if (table !== undefined) order.push(table);
    }
    for (const parents of waiting.values()) for (const name of free) parents.delete(name);
  }
  return order;
}

function nameOf({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}

function isNamed(table: TableName, list: readonly string[]): boolean {
  return list.includes(nameOf(table)) || (table.schema === "public" && list.includes(table.table));
}
