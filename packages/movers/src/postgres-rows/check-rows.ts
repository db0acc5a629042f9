import type { CheckedTable, MoveCheck, MoverCall, MoverPolicy } from "@stampyard/domain";
import { checkCollisions, checkCounters } from "./check-ids.ts";
import { checkReferenceRows, checkStrangers, measureTenant } from "./check-contents.ts";
import { checkShapes } from "./check-shape.ts";
import { checkAlike, checkHomes, checkServer, checkTables, type Findings, readSide } from "./check-side.ts";
import { classifyTables, type RowsPlan } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { writeModeOf } from "./plain-mode.ts";
import { qualified, type TableName } from "./sql.ts";
import { readTables, type TableFacts } from "./tables.ts";

/**
 * The preflight of a move (`Mover.check`): reads both databases, changes neither, and names everything at once. The
 * connections are the mover's, outside of any transaction.
 */
export async function checkRows(
  source: MoverDb,
  target: MoverDb,
  policy: MoverPolicy,
  tenant: string,
  call: MoverCall,
): Promise<MoveCheck> {
  const findings: Findings = { problems: [], warnings: [] };
  const [here, there] = await Promise.all([readSide(source, "source", tenant), readSide(target, "target", tenant)]);
  checkServer(here, findings);
  checkServer(there, findings);
  checkAlike(here, there, findings);
  checkHomes(here, there, tenant, findings);
  const [facts, factsThere] = await Promise.all([readTables(source), readTables(target)]);
  const plan = classifyTables(facts, policy);
  tellTables(plan, classifyTables(factsThere, policy), findings);
  const { tables } = plan;
  const shared = [...tables, ...plan.reference];
  const isOneMajor = Math.floor(here.version / 10_000) === Math.floor(there.version / 10_000);
  await checkShapes(source, target, shared, isOneMajor, findings);
  call.signal.throwIfAborted();
  // Asked first: with one of them lost, nobody would hear what becomes of the other check.
  const [modeHere, modeThere] = await Promise.all([writeModeOf(source), writeModeOf(target)]);
  await Promise.all([
    checkTables(source, here, tables, modeHere, findings),
    checkTables(target, there, tables, modeThere, findings),
  ]);
  call.signal.throwIfAborted();
  const comparable = plan.reference.filter((table) => isAmong(table, factsThere));
  await checkReferenceRows(source, target, comparable, facts, findings);
  const onBoth = tables.filter((table) => isAmong(table, factsThere));
  await checkCounters(source, target, facts, policy, findings);
  // Where columns differ a question about both would fail, and has its answer already.
  if (findings.problems.length === 0) await checkCollisions(source, target, facts, onBoth, tenant, findings);
  if (there.home === undefined) await checkStrangers(target, onBoth, tenant, findings);
  checkLeftBehind(plan, facts, policy, findings);
  call.signal.throwIfAborted();
  const measured = await measureTenant(source, tables, tenant, call);
  return summary(plan, measured, findings);
}

/** Of both sides; what both say is told once. */
function tellTables(source: RowsPlan, target: RowsPlan, { problems }: Findings): void {
  const text = ({ table, what }: RowsPlan["problems"][number]) => `${table} ${what}`;
  const told = new Set(source.problems.map(text));
  for (const { table, what, mend } of source.problems) problems.push({ where: `table ${table}`, what, mend });
  for (const problem of target.problems) {
    if (told.has(text(problem))) continue;
    problems.push({ where: `table ${problem.table} of the target`, what: problem.what, mend: problem.mend });
  }
}

/** A table that is said to be nobody's, and has the tenants' column all the same. */
function checkLeftBehind(plan: RowsPlan, facts: readonly TableFacts[], policy: MoverPolicy, findings: Findings): void {
  for (const table of [...plan.reference, ...plan.ignored]) {
    const own = facts.find((fact) => qualified(fact) === qualified(table));
    if (own?.columns.some(({ name }) => name === policy.tenantColumn) !== true) continue;
    const what = `has the column ${policy.tenantColumn}, and stays where it is as the template says`;
    const mend = "Take it out of reference or ignored if its rows belong to tenants.";
    findings.warnings.push({ where: `table ${nameOf(table)}`, what, mend });
  }
}

function summary(
  plan: RowsPlan,
  measured: ReadonlyMap<string, { readonly rows: number; readonly bytes: number }>,
  { problems, warnings }: Findings,
): MoveCheck {
  const moved: readonly CheckedTable[] = plan.tables.map((table) => ({
    table: nameOf(table),
    kind: "tenant",
    ...(measured.get(nameOf(table)) ?? { rows: 0, bytes: 0 }),
    ...(table.via === undefined ? {} : { via: table.via.map(({ to }) => nameOf(to)) }),
  }));
  const staying = (kind: "reference" | "ignored"): readonly CheckedTable[] =>
    plan[kind].map((table) => ({ table: nameOf(table), kind, rows: 0, bytes: 0 }));
  const sum = (of: "rows" | "bytes") => moved.reduce((total, table) => total + table[of], 0);
  const tables = [...moved, ...staying("reference"), ...staying("ignored")];
  return { problems, warnings, tables, rows: sum("rows"), bytes: sum("bytes") };
}

function isAmong(table: TableName, facts: readonly TableFacts[]): boolean {
  return facts.some((fact) => qualified(fact) === qualified(table));
}

function nameOf({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}
