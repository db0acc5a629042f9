import type { IdPolicy, MoverPolicy } from "@stampyard/domain";
import { beyond, bound, type CanonicalTable, canonicalTables, keyedBy, rowsOfTenant, sameKey } from "./canonical.ts";
import type { Findings } from "./check-side.ts";
import { hasIdsOf, keysToLookUp } from "./classify-ids.ts";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { identifier, qualified } from "./sql.ts";
import type { TableFacts } from "./tables.ts";

const valuesAtOnce = 5_000;
/** Ends the search for values that are there already; a copy that meets one is refused by the target. */
const lookUpMs = 10_000;

interface Counter {
  readonly next: bigint;
  readonly step: bigint;
  readonly least: bigint;
  readonly most: bigint;
}

/** Numbers of the two stamps never meet while each stays in its block, or on its own residue (I24). */
export async function checkCounters(
  source: MoverDb,
  target: MoverDb,
  facts: readonly TableFacts[],
  policy: MoverPolicy,
  findings: Findings,
): Promise<void> {
  for (const [name, ids] of Object.entries(policy.ids)) {
    if (ids.kind !== "block" && ids.kind !== "stride") continue;
    const sequences = facts
      .filter((table) => hasIdsOf(table, name))
      .flatMap((table) => table.columns.flatMap(({ sequence }) => (sequence === undefined ? [] : [sequence])));
    for (const sequence of new Set(sequences)) {
      const [here, there] = await Promise.all([counterOf(source, sequence), counterOf(target, sequence)]);
      if (here === undefined || there === undefined) continue;
      compareCounters(sequence, ids, here, there, findings);
    }
  }
}

function compareCounters(
  sequence: string,
  ids: Extract<IdPolicy, { kind: "block" | "stride" }>,
  here: Counter,
  there: Counter,
  { problems, warnings }: Findings,
): void {
  const where = `sequence ${sequence}`;
  if (ids.kind === "stride") {
    const of = BigInt(ids.of);
    const mend = `alter sequence ${sequence} increment by ${ids.of}; and restart it on a number of the stamp's own`;
    if (here.step !== of || there.step !== of) {
      problems.push({ where, what: `does not count in steps of ${ids.of} on both sides`, mend });
    } else if (here.next % of === there.next % of) {
      problems.push({ where, what: "counts the same numbers on both sides", mend });
    }
    return;
  }
  const size = BigInt(ids.size);
  const block = ({ next }: Counter) => (next - 1n) / size;
  const mend = `alter sequence ${sequence} minvalue … maxvalue … restart …; with ${ids.size} numbers of the stamp's own`;
  if (block(here) === block(there)) {
    const what = `counts in the same block on both sides (${here.next} and ${there.next}, blocks of ${ids.size})`;
    problems.push({ where, what, mend });
  } else if ([here, there].some((side) => side.most > (block(side) + 1n) * size)) {
    warnings.push({ where, what: "is not kept from leaving its block", mend });
  }
}

async function counterOf(db: MoverDb, sequence: string): Promise<Counter | undefined> {
  const [schema = "", ...rest] = sequence.split(".");
  const name = qualified({ schema, table: rest.join(".") });
  const { rows: found } = await db.query("select to_regclass($1) is not null as there", [name]);
  if (found[0]?.["there"] !== true) return undefined;
  const { rows } = await db.query(
    `select case when s.is_called then s.last_value + p.seqincrement else s.last_value end::text as next,
       p.seqincrement::text as step, p.seqmin::text as least, p.seqmax::text as most
     from ${name} s, pg_sequence p where p.seqrelid = $1::regclass`,
    [name],
  );
  const at = (column: string) => BigInt(String(rows[0]?.[column]));
  return { next: at("next"), step: at("step"), least: at("least"), most: at("most") };
}

/** Values of unique keys without the tenant that somebody else on the target has already (D14). */
export async function checkCollisions(
  source: MoverDb,
  target: MoverDb,
  facts: readonly TableFacts[],
  tables: readonly MoveTable[],
  tenant: string,
  { problems, warnings }: Findings,
): Promise<void> {
  const until = performance.now() + lookUpMs;
  for (const table of tables) {
    const own = facts.find((fact) => qualified(fact) === qualified(table));
    const owner = { columns: table.via?.[0]?.columns ?? [table.tenantColumn] };
    for (const unique of own === undefined ? [] : keysToLookUp(own, owner)) {
      const [asked] = await canonicalTables(source, target, [{ ...table, key: unique.columns }]);
      if (asked === undefined) continue;
      const { taken, isWhole } = await takenValues(source, target, asked, tenant, until);
      const where = `table ${asked.name}`;
      const key = `unique key ${unique.name} (${unique.columns.join(", ")})`;
      if (taken > 0) {
        const what = `has ${taken} values of the ${key} that somebody else on the target has already`;
        problems.push({ where, what, mend: "Change them on one of the two sides; the ids of stamps must not meet." });
      } else if (!isWhole) {
        const what = `has too many values of the ${key} to look all of them up beforehand`;
        warnings.push({ where, what, mend: "Should one be taken, the copy is refused and nothing is lost." });
      }
    }
  }
}

async function takenValues(
  source: MoverDb,
  target: MoverDb,
  table: CanonicalTable,
  tenant: string,
  until: number,
): Promise<{ readonly taken: number; readonly isWhole: boolean }> {
  let taken = 0;
  let after: readonly string[] | undefined;
  for (;;) {
    const page = await nextValues(source, table, tenant, after);
    const to = bound();
    const own = rowsOfTenant(table, to.bind(tenant)).replace(/^[\s\S]*? where /, "");
    const { rows } = await target.query(
      `select count(*)::int as n from ${qualified(table)} t join ${keyedBy(table, page.values, to)} on ${sameKey(table)}
       where not (${own})`,
      to.values,
    );
    taken += Number(rows[0]?.["n"]);
    after = page.last;
    if (after === undefined) return { taken, isWhole: true };
    if (performance.now() > until) return { taken, isWhole: false };
  }
}

async function nextValues(
  source: MoverDb,
  table: CanonicalTable,
  tenant: string,
  after: readonly string[] | undefined,
): Promise<{ readonly values: string; readonly last?: readonly string[] }> {
  const to = bound();
  const of = `${rowsOfTenant(table, to.bind(tenant))}${beyond(table, ">", after, to)}`;
  const key = table.key.map((column) => `'${column.replaceAll("'", "''")}', t.${identifier(column)}`).join(", ");
  const order = table.order.map((column, i) => `(${column})::text as k${i}`).join(", ");
  const { rows } = await source.query(
    `select jsonb_build_object(${key})::text as value, ${order} ${of}
     order by ${table.order.join(", ")} limit ${valuesAtOnce}`,
    to.values,
  );
  const values = `[${rows.map((row) => String(row["value"])).join(",")}]`;
  const last = rows[valuesAtOnce - 1];
  return last === undefined ? { values } : { values, last: table.order.map((_, i) => String(last[`k${i}`])) };
}
