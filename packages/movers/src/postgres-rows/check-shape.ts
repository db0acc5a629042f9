import type { Findings } from "./check-side.ts";
import type { MoverDb } from "./connect.ts";
import { qualified, type TableName } from "./sql.ts";

/** What a table looks like, in words that can be compared between two databases. */
interface Shape {
  readonly name: string;
  /** Column to what it is. */
  readonly columns: Readonly<Record<string, ColumnShape>>;
  /** What refuses rows: definitions, whatever their names. */
  readonly constraints: readonly string[];
  readonly indexes: readonly string[];
}

interface ColumnShape {
  readonly type: string;
  /** Of enums, in their order. */
  readonly labels?: string;
  readonly collation?: string;
  readonly notNull: boolean;
  readonly generated?: string;
  readonly identity?: string;
  readonly default?: string;
}

const mend = "Bring both stamps to one release: the same migrations must have run on both.";

/**
 * Names what differs between the two sides, column by column (D15). Definitions are written by the server, each major in
 * its own words, so across majors expressions that look different are only to be known.
 */
export async function checkShapes(
  source: MoverDb,
  target: MoverDb,
  tables: readonly TableName[],
  isOneMajor: boolean,
  { problems, warnings }: Findings,
): Promise<void> {
  const [here, there] = await Promise.all([shapesOf(source, tables), shapesOf(target, tables)]);
  for (const shape of here) {
    const where = `table ${shape.name}`;
    const other = there.find(({ name }) => name === shape.name);
    if (other === undefined) {
      problems.push({ where, what: "is missing on the target", mend });
      continue;
    }
    for (const { what, isWords } of columnDifferences(shape, other)) {
      (isWords && !isOneMajor ? warnings : problems).push({ where, what, mend });
    }
    for (const what of listDifferences("constraint", shape.constraints, other.constraints)) {
      (isOneMajor ? problems : warnings).push({ where, what, mend });
    }
    for (const what of listDifferences("index", shape.indexes, other.indexes)) warnings.push({ where, what, mend });
  }
}

interface Told {
  readonly what: string;
  /** It is an expression, as one major writes it. */
  readonly isWords: boolean;
}

function columnDifferences(here: Shape, there: Shape): readonly Told[] {
  const told: Told[] = [];
  for (const name of new Set([...Object.keys(here.columns), ...Object.keys(there.columns)])) {
    const [a, b] = [here.columns[name], there.columns[name]];
    if (a === undefined) told.push({ what: `has the column ${name} on the target only`, isWords: false });
    else if (b === undefined) told.push({ what: `lacks the column ${name} on the target`, isWords: false });
    else told.push(...aspectDifferences(name, a, b));
  }
  return told;
}

function aspectDifferences(column: string, a: ColumnShape, b: ColumnShape): readonly Told[] {
  const aspects = ["type", "labels", "collation", "notNull", "generated", "identity", "default"] as const;
  return aspects
    .filter((aspect) => a[aspect] !== b[aspect])
    .map((aspect) => {
      const word = aspect === "notNull" ? "not null" : aspect;
      const said = (value: unknown) => (value === undefined ? "none" : String(value));
      return {
        what: `has in column ${column} the ${word} ${said(a[aspect])} on the source and ${said(b[aspect])} on the target`,
        isWords: aspect === "generated" || aspect === "default",
      };
    });
}

function listDifferences(kind: string, here: readonly string[], there: readonly string[]): readonly string[] {
  return [
    ...here.filter((one) => !there.includes(one)).map((one) => `lacks on the target the ${kind} ${one}`),
    ...there.filter((one) => !here.includes(one)).map((one) => `has on the target only the ${kind} ${one}`),
  ];
}

async function shapesOf(db: MoverDb, tables: readonly TableName[]): Promise<readonly Shape[]> {
  const { rows } = await db.query(shapeSql, [tables.map(qualified)]);
  return rows.map((row) => row["shape"] as Shape);
}

/** Not null is told with its column: newer servers count it among the constraints. */
const shapeSql = `
select jsonb_build_object('name', n.nspname || '.' || c.relname,
  'columns', (select jsonb_object_agg(a.attname, jsonb_strip_nulls(jsonb_build_object(
      'type', format_type(a.atttypid, a.atttypmod),
      'labels', (select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = a.atttypid),
      'collation', case when a.attcollation <> 100 then
        (select l.collname || case when l.collisdeterministic then '' else ' (not deterministic)' end from pg_collation l where l.oid = a.attcollation) end,
      'notNull', a.attnotnull, 'identity', nullif(a.attidentity, ''),
      'generated', case when a.attgenerated <> '' then pg_get_expr(f.adbin, f.adrelid) end,
      'default', case when a.attgenerated = '' then pg_get_expr(f.adbin, f.adrelid) end)))
    from pg_attribute a left join pg_attrdef f on f.adrelid = c.oid and f.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  'constraints', coalesce((select jsonb_agg(distinct pg_get_constraintdef(k.oid)) from pg_constraint k
    where k.conrelid = c.oid and k.contype in ('c', 'f', 'p', 'u', 'x') and k.conparentid = 0), '[]'),
  'indexes', coalesce((select jsonb_agg(distinct (case when x.indisunique then 'unique ' else '' end) || substring(pg_get_indexdef(x.indexrelid) from ' (USING .*)$'))
    from pg_index x where x.indrelid = c.oid and x.indisvalid
      and not exists (select from pg_constraint k where k.conindid = x.indexrelid and k.contype in ('p', 'u', 'x'))), '[]')
) as shape
from unnest($1::text[]) as name join pg_class c on c.oid = to_regclass(name) join pg_namespace n on n.oid = c.relnamespace
order by 1`;
