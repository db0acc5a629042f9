import { findComponent, lackingCapabilities, type MoveProblem, StampyardError } from "@stampyard/domain";
import { type MoveEnd, type MoveEnds, policyOf } from "./move-ends.ts";

/** What stands in the way of a move before any database is asked: what templates and adoptions say of both stamps. */
export function whyUnmovable(ends: MoveEnds): readonly MoveProblem[] {
  const problems = [...problemsOf(ends.source), ...problemsOf(ends.target)];
  if (problems.length === 0 && policyOf(ends) === undefined) {
    const what = "neither of them has a template that says how tenants are told apart";
    const mend = "Move to a stamp that is built from the fleet's template.";
    problems.push({ where: `stamps ${ends.source.name} and ${ends.target.name}`, what, mend });
  }
  return problems;
}

function problemsOf(end: MoveEnd): MoveProblem[] {
  const where = `stamp ${end.name}`;
  const { stamp, spec } = end;
  if (stamp === undefined || spec === undefined) {
    return [{ where, what: "it is destroyed", mend: "Choose another one: stampyard stamp list." }];
  }
  if (stamp.origin === "adopted") return problemsOfAdopted(end);
  const problems: MoveProblem[] = [];
  const { tenancy } = spec.rendered;
  if (tenancy.model !== "rows") {
    const what = `its tenants are told apart by ${tenancy.model}, and only tenants of model rows move`;
    problems.push({ where, what, mend: "Keep tenants in shared tables with a tenant column: tenancy: {model: rows}." });
  }
  const databases = findComponent(spec.rendered, "postgres");
  const [database, another] = databases;
  if (database === undefined || another !== undefined) {
    const what = `its template has ${databases.length} postgres components, and a tenant moves between stamps that have one`;
    problems.push({ where, what, mend: "Keep what belongs to tenants in one postgres component." });
    return problems;
  }
  if (database.fence !== "enforce") {
    const what = `component ${database.name} declares ${database.fence === "report" ? "fence: report" : "no fence"}`;
    problems.push({ where, what, mend: `Say fence: enforce at ${database.name} in stamp.yaml, and apply it.` });
  }
  if (end.url === undefined) {
    const what = "its engine gives no connection for movers";
    problems.push({ where, what, mend: "Move between stamps of the local engine." });
  }
  return problems;
}

function problemsOfAdopted({ name, stamp, url }: MoveEnd): MoveProblem[] {
  const adoption = stamp?.adoption;
  if (adoption === undefined) return [];
  const lacking = lackingCapabilities(adoption.capabilities, adoption.hasDatabase);
  const needed = lacking.filter(({ capability }) => {
    if (capability === "guard") return true;
    return capability === "fence" && url === undefined;
  });
  return needed.map(({ capability, add }) => ({
    where: `stamp ${name}`,
    what: `it was adopted without the capability ${capability}`,
    mend: `${capitalized(add)}.`,
  }));
}

/** @throws StampyardError MOVE_REFUSED with each problem */
export function refuseMove(problems: readonly MoveProblem[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  const more = others.length === 0 ? "" : `, and ${others.length} more`;
  throw new StampyardError("MOVE_REFUSED", `The tenant cannot move: ${first.where}: ${first.what}${more}`, {
    mend: first.mend,
    problems: problems.map(({ where, what, mend }) => ({ message: `${where}: ${what}`, mend })),
  });
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
