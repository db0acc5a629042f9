import { identifier, qualified, type TableName } from "./sql.ts";

/** One foreign key on the path from a table without the tenant column to the table that has it. */
export interface ViaStep {
  /** Columns of the foreign key, in the table that the step begins at. */
  readonly columns: readonly string[];
  readonly to: TableName;
  /** What they point at, in the same order. */
  readonly toColumns: readonly string[];
}

/** Whose a table's rows are: by a column of its own, or by that of the table at the end of its path. */
export interface OwnedRows {
  /** Of the table itself, or of the last table of `via`. */
  readonly tenantColumn: string;
  /** Absent = the table has the column itself. */
  readonly via?: readonly ViaStep[];
}

/**
 * A condition on rows that are called `alias`: those of one tenant.
 * @param tenant SQL of the tenant's key, e.g. `$1` or a literal
 */
export function ofTenant(table: OwnedRows, alias: string, tenant: string): string {
  const path = table.via ?? [];
  if (path.length === 0) return `${alias}.${identifier(table.tenantColumn)} = ${tenant}`;
  return `exists (select 1 ${joined(path, alias)} and ${last(path)}.${identifier(table.tenantColumn)} = ${tenant})`;
}

/**
 * The same, but also rows whose path leads nowhere: on the target a row of the mover's is left like that when its parent
 * went first. Rows of other tenants, whose paths are whole, are never among them.
 */
export function ofTenantOrNobody(table: OwnedRows, alias: string, tenant: string): string {
  const path = table.via ?? [];
  if (path.length === 0) return ofTenant(table, alias, tenant);
  const owner = `(select ${last(path)}.${identifier(table.tenantColumn)}::text ${joined(path, alias)})`;
  return `coalesce(${owner}, ${tenant}) = ${tenant}`;
}

/** Rows whose path leads nowhere. */
export function ofNobody(table: OwnedRows, alias: string): string {
  return `not exists (select 1 ${joined(table.via ?? [], alias)})`;
}

function joined(path: readonly ViaStep[], alias: string): string {
  const tables = path.map((step, i) => `${qualified(step.to)} via${i}`);
  const keys = path.flatMap((step, i) => {
    const from = i === 0 ? alias : `via${i - 1}`;
    return step.columns.map(
      (column, k) => `via${i}.${identifier(step.toColumns[k] ?? "")} = ${from}.${identifier(column)}`,
    );
  });
  return `from ${tables.join(", ")} where ${keys.join(" and ")}`;
}

function last(path: readonly ViaStep[]): string {
  return `via${path.length - 1}`;
}
