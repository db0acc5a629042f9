import { StampyardError } from "./errors.ts";
import type { Component, ComponentKind, Reference, Stage } from "./template.ts";

/** What the order depends on. */
export interface StartNode {
  readonly name: string;
  readonly kind: ComponentKind | undefined;
  readonly references: readonly Reference[];
  readonly after: readonly string[];
  /** A job that only hooks run takes no part in a start. */
  readonly onlyHook: boolean;
}

interface Staged {
  readonly stages: readonly Stage[];
}

export type Dependencies = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Who waits for whom: by references, by `after`, and one rule on top: a service that uses a database waits for the
 * jobs that migrate it (they use its `migrationUrl`), unless such a job needs the service itself.
 */
export function dependenciesOf(nodes: readonly StartNode[]): Dependencies {
  const starting = nodes.filter((node) => !node.onlyHook);
  const names = new Set(starting.map((node) => node.name));
  const needs = new Map<string, Set<string>>();
  for (const node of starting) {
    const of = [...node.references.map((reference) => reference.of), ...node.after];
    needs.set(node.name, new Set(of.filter((name) => names.has(name))));
  }
  const migrations = starting
    .filter((node) => node.kind === "job")
    .flatMap((job) => {
      const databases = job.references.filter((reference) => reference.field === "migrationUrl").map(({ of }) => of);
      return databases.length === 0 ? [] : [{ job: job.name, databases, needed: reachable(needs, job.name) }];
    });
  for (const node of starting) {
    if (node.kind !== "service") continue;
    const uses = new Set(node.references.filter(({ field }) => field === "url").map(({ of }) => of));
    for (const { job, databases, needed } of migrations) {
      if (databases.some((database) => uses.has(database)) && !needed.has(node.name)) needs.get(node.name)?.add(job);
    }
  }
  return needs;
}

function reachable(needs: Dependencies, from: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const open = [from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const next of needs.get(name) ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(next);
    }
  }
  return seen;
}

/**
 * The same of a whole stamp, where a later stage also waits for everything of the stages before it.
 * @throws StampyardError INVALID_MANIFEST naming a cycle, which a parsed template never has
 */
export function startNeeds(stamp: Staged): Dependencies {
  const needs = dependenciesOf(stamp.stages.flatMap((stage) => stage.components).map(nodeOf));
  if (cyclesOf(needs).length > 0) throw cycleError(needs);
  const all = new Map([...needs].map(([name, own]) => [name, new Set(own)]));
  const earlier: string[] = [];
  for (const { components } of stamp.stages) {
    const names = components.map((component) => component.name).filter((name) => all.has(name));
    for (const name of names) for (const before of earlier) all.get(name)?.add(before);
    earlier.push(...names);
  }
  return all;
}

/** One cycle of each knot, as names that end where they began: `["a", "b", "a"]`. */
export function cyclesOf(needs: Dependencies): readonly (readonly string[])[] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  for (const start of needs.keys()) {
    const path: { name: string; next: Iterator<string> }[] = [];
    const enter = (name: string) => path.push({ name, next: (needs.get(name) ?? new Set<string>()).values() });
    if (!done.has(start)) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const step = top.next.next();
      if (step.done === true) {
        done.add(top.name);
        path.pop();
        continue;
      }
      const at = path.findIndex((entry) => entry.name === step.value);
      if (at !== -1) {
        cycles.push([...path.slice(at).map((entry) => entry.name), step.value]);
        // The knot is named; its members need not be named again by another way around it.
        for (const entry of path.slice(at)) done.add(entry.name);
      } else if (!done.has(step.value)) enter(step.value);
    }
  }
  return cycles;
}

/**
 * Components in waves: every member of a wave may start at once, after the wave before it is ready (a job: after it has
 * ended). Stages follow each other; jobs that only hooks run are left out. Names in a wave are sorted.
 * Works on a template and on a rendered stamp.
 * @throws StampyardError INVALID_MANIFEST naming a cycle, which a parsed template never has
 */
export function startOrder(stamp: Staged): readonly (readonly string[])[] {
  const components = stamp.stages.flatMap((stage) => stage.components);
  const needs = dependenciesOf(components.map(nodeOf));
  const waves: string[][] = [];
  const ready = new Set<string>();
  for (const stage of stamp.stages) {
    let waiting = stage.components.map((component) => component.name).filter((name) => needs.has(name));
    while (waiting.length > 0) {
      const wave = waiting.filter((name) => [...(needs.get(name) ?? [])].every((need) => ready.has(need)));
      if (wave.length === 0) throw cycleError(needs);
      waves.push(wave.sort());
      for (const name of wave) ready.add(name);
      waiting = waiting.filter((name) => !ready.has(name));
    }
  }
  return waves;
}

function cycleError(needs: Dependencies): StampyardError {
  const cycle = cyclesOf(needs)[0];
  const what =
    cycle === undefined ? "Components wait for a later stage" : `Components wait in a circle: ${cycle.join(" → ")}`;
  return new StampyardError("INVALID_MANIFEST", what, { mend: "Remove one reference or after of the circle." });
}

function nodeOf(component: Component): StartNode {
  const { name, kind } = component;
  switch (component.kind) {
    case "service":
    case "job": {
      const texts = [...(component.command ?? []), ...Object.values(component.env)];
      if (component.image !== undefined) texts.push(component.image);
      const onlyHook = component.kind === "job" && component.run === "hook";
      return {
        name,
        kind,
        references: texts.flat().filter((part): part is Reference => typeof part !== "string"),
        after: component.after,
        onlyHook,
      };
    }
    default:
      return { name, kind, references: [], after: [], onlyHook: false };
  }
}
