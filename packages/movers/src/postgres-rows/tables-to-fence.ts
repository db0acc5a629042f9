import type { MoverPolicy } from "@stampyard/domain";
import { classifyTables } from "./classify.ts";
import type { FenceTable } from "./fence-via-sql.ts";
import { qualified, type TableName } from "./sql.ts";
import type { TableFacts } from "./tables.ts";

export interface ToFence {
  readonly tables: readonly FenceTable[];
  /** Neither of tenants nor named as anything else: a move would refuse them, and nothing guards them. */
  readonly unknown: readonly TableName[];
}

/**
 * Tables that need the fence: those that move, and those of tenants that could not move yet for another reason, which a
 * move's check names. Partitions have it through their parent.
 */
export function tablesToFence(facts: readonly TableFacts[], policy: MoverPolicy): ToFence {
  const plan = classifyTables(facts, policy);
  const stays = new Set([...plan.reference, ...plan.ignored].map(qualified));
  const movable = new Map(plan.tables.map((table) => [qualified(table), table]));
  const tables: FenceTable[] = [];
  const unknown: TableName[] = [];
  for (const fact of facts) {
    if (fact.kind === "partition" || stays.has(qualified(fact))) continue;
    const { schema, table } = fact;
    const movedTable = movable.get(qualified(fact));
    if (movedTable !== undefined) {
      const { tenantColumn, key, via } = movedTable;
      tables.push({ schema, table, tenantColumn, key, ...(via === undefined ? {} : { via }) });
      continue;
    }
    const hasColumn = fact.columns.some((column) => column.name === policy.tenantColumn);
    if (!hasColumn || fact.kind === "foreign") unknown.push({ schema, table });
    else tables.push({ schema, table, tenantColumn: policy.tenantColumn, key: someKey(fact, policy.tenantColumn) });
  }
  return { tables, unknown };
}

function someKey(fact: TableFacts, tenantColumn: string): readonly string[] {
  const usable = fact.keys.filter((key) => key.notNull);
  const key = usable.find((candidate) => candidate.isPrimary) ?? usable[0];
  return key?.columns ?? [tenantColumn];
}
