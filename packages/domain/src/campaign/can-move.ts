import type { Template } from "../template.ts";

/** Why tenants of stamps of this template cannot be moved by the platform, or undefined when they can. */
export function whyTenantsStay({ tenancy, stages }: Pick<Template, "tenancy" | "stages">): string | undefined {
  if (tenancy.model !== "rows") return `its tenancy is ${tenancy.model}, and only rows are moved`;
  const databases = stages.flatMap(({ components }) => components).filter((component) => component.kind === "postgres");
  const [database] = databases;
  if (database === undefined) return "its template has no database of ours";
  if (databases.length > 1) return "its template has several databases";
  if (database.fence === "enforce") return undefined;
  return `the fence of component ${database.name} is ${database.fence ?? "off"}, and a move needs enforce`;
}
