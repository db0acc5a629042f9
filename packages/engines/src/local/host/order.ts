import {
  type Component,
  componentsOf,
  type Reference,
  type RenderedStamp,
  StampyardError,
  type Text,
} from "@stampyard/domain";

const reserved = new Set(["self", "route", "stamp", "params", "release"]);

type Needs = Map<string, Set<string>>;

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

function referencesOf(component: Component): readonly Reference[] {
  return textsOf(component)
    .flat()
    .flatMap((part) => (typeof part === "string" || reserved.has(part.of) ? [] : [part]));
}

/**
 * What each component waits for: whom it refers to, whom it names in `after`, everything of earlier stages, and for a
 * service the jobs that migrate its databases.
 * @throws StampyardError INVALID_MANIFEST for an unknown name or a cycle
 */
export function dependenciesOf(rendered: RenderedStamp): ReadonlyMap<string, ReadonlySet<string>> {
  const components = componentsOf(rendered);
  const known = new Set(components.map((component) => component.name));
  const needs: Needs = new Map();
  let earlier: readonly string[] = [];
  for (const stage of rendered.stages) {
    for (const component of stage.components) {
      const after = component.kind === "service" || component.kind === "job" ? component.after : [];
      const own = new Set([...earlier, ...after, ...referencesOf(component).map((reference) => reference.of)]);
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
  waitForMigrations(components, needs);
  orderOf(needs);
  return needs;
}

/** A service that uses a database starts behind the jobs that migrate it, unless such a job needs the service. */
function waitForMigrations(components: readonly Component[], needs: Needs): void {
  const jobs = components.filter((component) => component.kind === "job" && component.run === "release");
  for (const job of jobs) {
    const migrated = referencesOf(job).filter(({ field }) => field === "migrationUrl");
    const upstream = reachableFrom(needs, job.name);
    for (const service of components) {
      if (service.kind !== "service" || upstream.has(service.name)) continue;
      const uses = referencesOf(service).some((own) => own.field === "url" && migrated.some(({ of }) => of === own.of));
      if (uses) needs.get(service.name)?.add(job.name);
    }
  }
}

function reachableFrom(needs: Needs, start: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    for (const next of needs.get(name) ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      visit(next);
    }
  };
  visit(start);
  return seen;
}

/** Names such that everybody comes behind those it needs. @throws StampyardError INVALID_MANIFEST for a cycle */
export function orderOf(needs: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] {
  const done = new Set<string>();
  const path = new Set<string>();
  const visit = (name: string): void => {
    if (done.has(name)) return;
    if (path.has(name)) {
      throw new StampyardError("INVALID_MANIFEST", `Components wait for each other: ${[...path, name].join(" → ")}`);
    }
    path.add(name);
    for (const need of needs.get(name) ?? []) visit(need);
    path.delete(name);
    done.add(name);
  };
  for (const name of needs.keys()) visit(name);
  return [...done];
}
