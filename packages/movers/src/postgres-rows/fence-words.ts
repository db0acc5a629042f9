import type { TableName } from "./sql.ts";

/** A table whose rows belong to tenants. */
export interface TenantTable extends TableName {
  /** Column that holds the tenant's key. */
  readonly tenantColumn: string;
  /** Columns of the key that tells one row from all others; capture writes them down. */
  readonly key: readonly string[];
}

/** `report` lets every write pass and writes down what `enforce` would refuse. */
export type FenceMode = "report" | "enforce";
export const fenceModes: readonly FenceMode[] = ["enforce", "report"];

export type Write = "insert" | "update" | "delete";
export const writes: readonly Write[] = ["insert", "update", "delete"];

/** Key space of our advisory locks; the second half is the tenant's hash. */
export const fenceLockSpace = 620_512;

/** More moves than these at once in one database are refused, so that a transaction's locks of ours are bounded (I44). */
export const mostMovesAtOnce = 16;

/** Raised when a tenant's rows may not be written here; DETAIL names the stamp it moved to. */
export const notWritableState = "SY001";
/** A row cannot change its tenant. */
export const tenantImmutableState = "SY002";
/** TRUNCATE and changes of tables wait for the end of a move. */
export const tablesHeldState = "SY003";

/** A move that needs the tables as they are; one that is only watched for a way back does not. */
export function holdsTablesSql(row: string): string {
  return `${row}.move_id is not null and ${row}.state <> 'moved' and not ${row}.watching`;
}

/**
 * What the end of a move that has not flipped makes of its row, whoever ends it: at rest, or watched again if it came
 * from a watch. `SET` list without the comma; `row` is the table's alias.
 */
export function atRestSql(row: string): string {
  return `move_id = case when ${row}.is_way_back then ${row}.move_id end, watching = ${row}.is_way_back, is_way_back = false`;
}
