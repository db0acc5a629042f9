import { quote } from "@stampyard/domain";
import { asMap, type OutlineComponent } from "./outline.ts";
import type { Path } from "./problem.ts";
import type { Plain } from "./read-yaml.ts";
import type { Fault } from "./references.ts";

type Say = (where: "key" | "value", path: Path, fault: Fault) => void;

/** What a database says of its tables, where one field must fit another. */
export function checkTables(root: { readonly [key: string]: Plain }, component: OutlineComponent, say: Say): void {
  const { path, raw } = component;
  const fence = raw["fence"];
  if ((fence === "report" || fence === "enforce") && asMap(root["tenancy"])["model"] !== "rows") {
    const message = "A fence needs tenancy.model rows";
    say("value", [...path, "fence"], { message, mend: "Remove it, or name the column that tells tenants apart." });
  }
  const seen = new Map<string, string>();
  for (const table of Object.keys(asMap(raw["via"]))) seen.set(inPublic(table), "via");
  for (const field of ["reference", "ignored"] as const) {
    const tables = raw[field];
    if (!Array.isArray(tables)) continue;
    tables.forEach((table: unknown, index) => {
      if (typeof table !== "string") return;
      const other = seen.get(inPublic(table));
      if (other !== undefined) {
        const message = `Table ${quote(table)} stands in ${other} and in ${field}`;
        const twice = `Table ${quote(table)} stands twice in ${field}`;
        say("value", [...path, field, index], {
          message: other === field ? twice : message,
          mend: "Name each table once: it either moves with its tenant, is the same everywhere, or stays where it is.",
        });
      }
      seen.set(inPublic(table), field);
    });
  }
}

/** A name alone is one of the schema `public`. */
function inPublic(table: string): string {
  return table.includes(".") ? table : `public.${table}`;
}
