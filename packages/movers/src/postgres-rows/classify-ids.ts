import type { IdPolicy, MoverPolicy } from "@stampyard/domain";
import type { TableName } from "./sql.ts";
import type { KeyFacts, TableFacts } from "./tables.ts";

export type Refuse = (what: string, mend: string) => void;

/** A unique key that tells tenants apart holds all of these; of a table with a path, what points at its parent. */
export interface Owner {
  readonly columns: readonly string[];
}

/**
 * Two stamps may have given out the same value of a unique key that does not name the tenant (decision D14). Declared ids
 * excepted: whether the target has used their values after all, the preflight asks the target.
 */
export function checkUnique(
  table: TableFacts,
  policy: MoverPolicy,
  owner: Owner,
  key: KeyFacts | undefined,
  refuse: Refuse,
): void {
  const kinds = declaredKinds(table, policy);
  const isDeclared = kinds.some((kind) => kind !== "composite");
  for (const unique of table.keys) {
    if (namesOwner(unique.columns, owner)) continue;
    if (holdsUuid(table, unique.columns)) continue;
    if (isDeclared && (unique.isPrimary || unique === key)) continue;
    refuse(
      `has the unique key ${unique.name} (${unique.columns.join(", ")}) without ${owner.columns.join(", ")}: two stamps may use the same value`,
      `Add ${owner.columns.join(", ")} to it, use uuids, or declare the table's ids in the template (ids: block or stride).`,
    );
  }
  for (const { name, columns } of table.partialUnique) {
    if (namesOwner(columns, owner) || holdsUuid(table, columns)) continue;
    refuse(
      `has the unique index ${name} over an expression or a part of the table, without ${owner.columns.join(", ")}`,
      `Add ${owner.columns.join(", ")} to it as a column.`,
    );
  }
}

/**
 * Numbers that each stamp counts for itself meet again on the target, even where the key names the tenant: the target's
 * sequence knows nothing of the numbers that came with it (I24). A move never lifts a sequence, so a policy must say how
 * numbers stay apart.
 */
export function checkSequences(table: TableFacts, policy: MoverPolicy, refuse: Refuse): void {
  const kinds = declaredKinds(table, policy);
  if (kinds.includes("block") || kinds.includes("stride")) return;
  const inKey = new Set([...table.keys, ...table.partialUnique].flatMap(({ columns }) => columns));
  const counted = table.columns.find(
    (column) => inKey.has(column.name) && (column.sequence !== undefined || column.identity !== "none"),
  );
  if (counted === undefined) return;
  refuse(
    `numbers its rows by a sequence of each stamp (${counted.name}), so a moved row may have the number of a later one`,
    "Declare the table's ids in the template (ids: block or stride), or use uuids.",
  );
}

/** Unique keys whose values might be used on the target already, although the template says that they are not. */
export function keysToLookUp(table: TableFacts, owner: Owner): readonly KeyFacts[] {
  return table.keys.filter((key) => !namesOwner(key.columns, owner));
}

/** Declared by the table's name, or by that of a sequence that it draws from. */
function declaredKinds(table: TableFacts, policy: MoverPolicy): readonly IdPolicy["kind"][] {
  const sequences = table.columns.flatMap(({ sequence }) => (sequence === undefined ? [] : [sequence]));
  const names = [nameOf(table), ...sequences].flatMap((name) =>
    name.startsWith("public.") ? [name, name.slice("public.".length)] : [name],
  );
  return names.flatMap((name) => policy.ids[name]?.kind ?? []);
}

/** True for a table of that name, and for one that draws from a sequence of that name. */
export function hasIdsOf(table: TableFacts, name: string): boolean {
  return [nameOf(table), ...table.columns.map(({ sequence }) => sequence)].some(
    (own) => own === name || own === `public.${name}`,
  );
}

function namesOwner(columns: readonly string[], owner: Owner): boolean {
  return owner.columns.every((column) => columns.includes(column));
}

function holdsUuid(table: TableFacts, columns: readonly string[]): boolean {
  return table.columns.some(({ name, type }) => type === "uuid" && columns.includes(name));
}

function nameOf({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}
