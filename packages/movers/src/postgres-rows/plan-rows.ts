import { createHash } from "node:crypto";
import { type MoverPolicy, StampyardError } from "@stampyard/domain";
import { classifyTables, type MoveTable } from "./classify.ts";
import { qualified, type SqlClient } from "./sql.ts";
import { readTables, type TableFacts } from "./tables.ts";

export interface MovePlanOfRows {
  readonly tables: readonly MoveTable[];
  /** Digest of what the moved tables look like: equal on both sides, or rows would not fit. */
  readonly schema: string;
}

/**
 * The tables of a move, parents first, as the catalog has them now.
 * @throws StampyardError MOVE_REFUSED when a table is there that nobody can classify: it would stay behind
 */
export async function planRows(db: SqlClient, policy: MoverPolicy): Promise<MovePlanOfRows> {
  const facts = await readTables(db);
  const { tables, problems } = classifyTables(facts, policy);
  if (problems.length > 0) {
    const [first] = problems;
    throw new StampyardError("MOVE_REFUSED", `Table ${first?.table} ${first?.what}`, {
      problems: problems.map(({ table, what, mend }) => ({ message: `Table ${table} ${what}`, mend })),
      mend: first?.mend ?? "Mend the table, then move again.",
    });
  }
  return { tables, schema: digestOf(facts, tables) };
}

/** Order of columns does not matter, because rows are copied by name; defaults do not, because every value comes along. */
function digestOf(facts: readonly TableFacts[], tables: readonly MoveTable[]): string {
  const moved = tables.map(({ schema, table, key, via }) => {
    const own = facts.find((candidate) => candidate.schema === schema && candidate.table === table);
    const columns = (own?.columns ?? []).map(({ name, type, notNull, isGenerated }) =>
      [name, type, notNull, isGenerated].join(" "),
    );
    return [qualified({ schema, table }), key, columns.sort(), via ?? []];
  });
  return createHash("sha256").update(JSON.stringify(moved)).digest("hex");
}
