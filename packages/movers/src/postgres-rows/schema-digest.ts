import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "@stampyard/domain";
import { qualified, type TableName } from "./sql.ts";
import type { TableFacts } from "./tables.ts";

/**
 * Digest of what a move depends on in the schema of these tables: columns, keys, foreign keys, rules. Names of indexes
 * and constraints do not count, nor how many rows there are.
 *
 * For the mover: take it on both sides when a move begins and again right before the fence, and refuse to go on when it
 * differs. The event trigger that holds changes of tables back is not to be had on every server, and a change that was
 * on its way when the move began has passed it. For verification: two sides of equal digests can be compared column by
 * column.
 */
export function schemaDigest(facts: readonly TableFacts[], tables: readonly TableName[]): string {
  const wanted = new Set(tables.map(qualified));
  const described = facts
    .filter((table) => wanted.has(qualified(table)))
    .map(describe)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return createHash("sha256")
    .update(canonicalJson(described as unknown as Json))
    .digest("hex");
}

function describe(table: TableFacts) {
  return {
    name: qualified(table),
    kind: table.kind,
    persistence: table.persistence,
    columns: table.columns
      .map(({ name, type, notNull, isGenerated, identity }) => ({ name, type, notNull, isGenerated, identity }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    keys: table.keys.map(({ columns, isPrimary }) => `${isPrimary} ${columns.join()}`).sort(),
    partialUnique: table.partialUnique.length,
    foreignKeys: table.foreignKeys
      .map(({ columns, to, toColumns }) => `${columns.join()} ${qualified(to)} ${toColumns.join()}`)
      .sort(),
    rules: [...table.rules].sort(),
  };
}
