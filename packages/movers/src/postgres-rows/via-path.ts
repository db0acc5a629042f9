import { qualified, type TableName } from "./sql.ts";
import type { ForeignKeyFacts, TableFacts } from "./tables.ts";
import type { ViaStep } from "./via.ts";

export type PathFound = { readonly steps: readonly ViaStep[] } | { readonly what: string; readonly mend: string };

/**
 * The foreign keys along the tables that the template names, or why rows could not be told apart by them:
 *
 *     line_notes ──(line)──► order_lines ──(order_id)──► orders, which has tenant_id
 */
export function viaPath(table: TableFacts, path: readonly TableFacts[], tenantColumn: string): PathFound {
  const steps: ViaStep[] = [];
  let child = table;
  for (const parent of path) {
    const found = keysBetween(child, parent);
    const [key] = found;
    const arrow = `${nameOf(child)} to ${nameOf(parent)}`;
    if (key === undefined) {
      const mend = "Add that foreign key, or correct the table's path (via) in the template.";
      return { what: `has no foreign key on its path from ${arrow}`, mend };
    }
    if (found.length > 1) {
      const names = found.map(({ name }) => name).join(", ");
      return { what: `has several foreign keys from ${arrow} (${names})`, mend: "Give it the tenant column instead." };
    }
    const nullable = child.columns.find((column) => key.columns.includes(column.name) && !column.notNull);
    if (nullable !== undefined) {
      const mend = `alter table ${qualified(child)} alter column "${nullable.name}" set not null;`;
      return { what: `may point at nothing from ${arrow} (${nullable.name}), and would belong to nobody`, mend };
    }
    const { schema, table: name } = parent;
    steps.push({ columns: key.columns, to: { schema, table: name }, toColumns: key.toColumns });
    child = parent;
  }
  if (child.columns.some(({ name }) => name === tenantColumn)) return { steps };
  return {
    what: `has a path that ends at ${nameOf(child)}, which has no column ${tenantColumn}`,
    mend: "Let the path (via) in the template end at a table with the tenant column.",
  };
}

function keysBetween(child: TableFacts, parent: TableFacts): readonly ForeignKeyFacts[] {
  return child.foreignKeys.filter((key) => qualified(key.to) === qualified(parent));
}

function nameOf({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}
