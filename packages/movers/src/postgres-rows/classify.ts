import type { MoverPolicy } from "@stampyard/domain";
import { checkSequences, checkUnique, hasIdsOf, type Owner, type Refuse } from "./classify-ids.ts";
import type { TenantTable } from "./fence-words.ts";
import { identifier, qualified, type TableName } from "./sql.ts";
import type { ColumnFacts, ForeignKeyFacts, KeyFacts, TableFacts } from "./tables.ts";
import type { ViaStep } from "./via.ts";
import { viaPath } from "./via-path.ts";

/** A table of the plan, in the order in which rows may be inserted: parents before children. */
export interface MoveTable extends TenantTable {
  /**
   * Absent = the table has the tenant column itself. Else its rows belong to whom they point at, over these tables; the
   * last of them has `tenantColumn`.
   */
  readonly via?: readonly ViaStep[];
  /** As the catalog has them; also to tables that do not move. */
  readonly foreignKeys?: readonly ForeignKeyFacts[];
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
export function classifyTables(facts: readonly TableFacts[], policy: MoverPolicy): RowsPlan {
  const problems: TableProblem[] = [];
  const reference = facts.filter((table) => isNamed(table, policy.reference));
  const ignored = facts.filter((table) => !isNamed(table, policy.reference) && isNamed(table, policy.ignored));
  const rest = facts.filter((table) => !reference.includes(table) && !ignored.includes(table));
  const moved: MoveTable[] = [];
  for (const table of rest) {
    if (table.kind === "partition") checkPartition(table, problems);
    else moved.push(...planTable(table, facts, policy, problems));
  }
  checkNames(facts, policy, problems);
  const inMove = new Set(moved.map(qualified));
  checkReferences(rest, inMove, new Set(reference.map(qualified)), problems);
  const order = parentsFirst(moved, facts, problems);
  return { tables: order, reference, ignored, problems };
}

function checkNames(facts: readonly TableFacts[], policy: MoverPolicy, problems: TableProblem[]): void {
  const refuse = (table: string, what: string, mend: string) => problems.push({ table, what, mend });
  const paths = Object.entries(policy.via).flatMap(([table, path]) => [table, ...path]);
  const named = [...policy.reference, ...policy.ignored, ...paths].filter(
    (name) => !facts.some((table) => isNamed(table, [name])),
  );
  const counted = Object.keys(policy.ids).filter((name) => !facts.some((table) => hasIdsOf(table, name)));
  for (const name of new Set([...named, ...counted])) {
    refuse(name, "is named by the template and does not exist", "Correct its name in the template, or take it out.");
  }
  for (const name of policy.reference.filter((candidate) => policy.ignored.includes(candidate))) {
    refuse(name, "is named as reference and as ignored by the template", "Take one of the two out.");
  }
}

/** A partition travels with its table; what it does apart from it counts all the same. */
function checkPartition(table: TableFacts, problems: TableProblem[]): void {
  if (table.persistence !== "unlogged") return;
  const what = "is an unlogged partition: its rows do not survive a crash";
  problems.push({ table: nameOf(table), what, mend: `alter table ${qualified(table)} set logged;` });
}

function planTable(
  table: TableFacts,
  facts: readonly TableFacts[],
  policy: MoverPolicy,
  problems: TableProblem[],
): readonly MoveTable[] {
  const before = problems.length;
  const refuse: Refuse = (what, mend) => problems.push({ table: nameOf(table), what, mend });
  const owned = ownerOf(table, facts, policy, refuse);
  if (owned === undefined) return [];
  checkKind(table, refuse);
  checkTypes(table, refuse);
  const key = moveKey(table, owned.columns);
  if (key === undefined) {
    refuse(
      "has no key that names one row of a tenant",
      `Give it a primary key of ${owned.columns.join(", ")} and its id, without nulls.`,
    );
  }
  checkKeyTypes(table, key, refuse);
  checkUnique(table, policy, owned, key, refuse);
  checkSequences(table, policy, refuse);
  if (key === undefined || problems.length > before) return [];
  const { schema, table: name, foreignKeys, rows, bytes } = table;
  const columns = table.columns.filter((candidate) => !candidate.isGenerated).map((candidate) => candidate.name);
  const via = owned.via === undefined ? {} : { via: owned.via };
  return [
    {
      schema,
      table: name,
      tenantColumn: policy.tenantColumn,
      key: key.columns,
      ...via,
      foreignKeys,
      columns,
      rows,
      bytes,
    },
  ];
}

/** By its own tenant column, or by the path that the template names. */
function ownerOf(
  table: TableFacts,
  facts: readonly TableFacts[],
  policy: MoverPolicy,
  refuse: Refuse,
): (Owner & { readonly via?: readonly ViaStep[] }) | undefined {
  const { tenantColumn } = policy;
  const column = table.columns.find((candidate) => candidate.name === tenantColumn);
  if (column !== undefined) {
    if (!column.notNull) {
      refuse(
        `lets ${tenantColumn} be null, and a row without a tenant cannot be moved or written`,
        `alter table ${qualified(table)} alter column ${identifier(tenantColumn)} set not null;`,
      );
    }
    return { columns: [tenantColumn] };
  }
  const named = Object.entries(policy.via).find(([name]) => isNamed(table, [name]))?.[1];
  if (named === undefined) {
    const mend = `Add the column, or name the table under via, reference or ignored in the template: alter table ${qualified(table)} add column ${identifier(tenantColumn)} text;`;
    refuse(`has no column ${tenantColumn}, so nobody can say whose rows these are`, mend);
    return undefined;
  }
  const path = named.map((name) => facts.find((candidate) => isNamed(candidate, [name])));
  // A name that does not exist is told by itself.
  if (path.some((step) => step === undefined)) return undefined;
  const found = viaPath(table, path as readonly TableFacts[], tenantColumn);
  if ("what" in found) {
    refuse(found.what, found.mend);
    return undefined;
  }
  return { columns: found.steps[0]?.columns ?? [], via: found.steps };
}

function checkKind(table: TableFacts, refuse: Refuse): void {
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
}

/** Values that mean something in one database only: large objects, names in its catalog, its transactions. */
const localType = /^(?:oid|lo|reg[a-z]+|xid8?|cid|tid|pg_lsn|pg_snapshot|txid_snapshot)(?:\[\])?$/;

function checkTypes(table: TableFacts, refuse: Refuse): void {
  const local = table.columns.find((column: ColumnFacts) => localType.test(column.type));
  if (local === undefined) return;
  const isObject = /^(?:oid|lo)\b/.test(local.type);
  refuse(
    `has the column ${local.name} of type ${local.type}, whose values mean something in one database only`,
    isObject ? "Keep large objects in a bytea column: they do not move." : "Keep names as text and numbers as bigint.",
  );
}

/** Captured keys are written as JSON by the writer's own session, which may round these or lose a part of them. */
const inexactType = /^(?:real|double precision|money)$|\[\]$/;

function checkKeyTypes(table: TableFacts, key: KeyFacts | undefined, refuse: Refuse): void {
  const column = table.columns.find(({ name, type }) => key?.columns.includes(name) === true && inexactType.test(type));
  if (column === undefined) return;
  refuse(
    `has the key column ${column.name} of type ${column.type}, whose values cannot be written down exactly`,
    "Use numeric, text or uuid in the key.",
  );
}

/** A key with the tenant column if there is one, else the primary key: it names one row all the same. */
function moveKey(table: TableFacts, owner: readonly string[]): KeyFacts | undefined {
  const usable = table.keys.filter((key) => key.notNull);
  const names = (key: KeyFacts) => owner.every((column) => key.columns.includes(column));
  return usable.find(names) ?? usable.find((key) => key.isPrimary);
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
