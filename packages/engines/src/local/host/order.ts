import { type Component, componentsOf, type RenderedStamp, StampyardError, type Text } from "@stampyard/domain";

const reserved = new Set(["self", "route", "stamp", "params"]);

/** All texts of a component that may hold references. */
function textsOf(component: Component): readonly Text[] {
  switch (component.kind) {
    case "service":
    case "job":
      return [...(component.command ?? []), ...Object.values(component.env)];
    case "external":
      return [component.url];
    default:
      return [];
  }
}

/**
 * What each component waits for: whom it refers to, whom it names in `after`, and everything of earlier stages.
 * @throws StampyardError INVALID_MANIFEST for an unknown name or a cycle
 */
export function dependenciesOf(rendered: RenderedStamp): ReadonlyMap<string, ReadonlySet<string>> {
  const known = new Set(componentsOf(rendered).map((component) => component.name));
  const needs = new Map<string, Set<string>>();
  let earlier: readonly string[] = [];
  for (const stage of rendered.stages) {
    for (const component of stage.components) {
      const own = new Set(earlier);
      const after = component.kind === "service" || component.kind === "job" ? component.after : [];
      for (const name of after) own.add(name);
      for (const part of textsOf(component).flat()) {
        if (typeof part !== "string" && !reserved.has(part.of)) own.add(part.of);
      }
      own.delete(component.name);
      const unknown = [...own].find((name) => !known.has(name));
      if (unknown !== undefined) {
        throw new StampyardError(
          "INVALID_MANIFEST",
          `Component ${component.name} refers to ${unknown}, which is not there`,
        );
      }
      needs.set(component.name, own);
    }
    earlier = [...earlier, ...stage.components.map((component) => component.name)];
  }
  orderOf(needs);
  return needs;
}

/** Names such that everybody comes behind those it needs. @throws StampyardError INVALID_MANIFEST for a cycle */
export function orderOf(needs: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] {
  const order: string[] = [];
  const path = new Set<string>();
  const visit = (name: string): void => {
    if (order.includes(name)) return;
    if (path.has(name)) {
      throw new StampyardError("INVALID_MANIFEST", `Components wait for each other: ${[...path, name].join(" → ")}`);
    }
    path.add(name);
    for (const need of needs.get(name) ?? []) visit(need);
    path.delete(name);
    order.push(name);
  };
  for (const name of needs.keys()) visit(name);
  return order;
}
