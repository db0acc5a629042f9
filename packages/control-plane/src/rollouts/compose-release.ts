import {
  type Component,
  type ParameterSpec,
  quote,
  type Reference,
  type Sha256,
  type Stage,
  StampyardError,
  type Template,
} from "@stampyard/domain";
import { referenceFields, releaseDigest } from "@stampyard/manifest";
import type { Release, ReleaseInput } from "../store/port.ts";

/**
 * A release of its own that is another one but for some parts, e.g. a newer database server under the same application.
 * Immutable as every release, so that a stamp can come back to it. Its version stays that of the release it is made from:
 * what does not change must not notice.
 * @throws StampyardError INVALID_REQUEST for a part that neither has, or that needs another one that was not named
 */
export function composeRelease(
  present: Release,
  asked: Release,
  components: readonly string[],
  sha256: Sha256,
): ReleaseInput {
  const taken = new Map(componentsIn(asked.template).map((component) => [component.name, component]));
  const known = new Set([...componentsIn(present.template).map(({ name }) => name), ...taken.keys()]);
  const unknown = components.find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new StampyardError("INVALID_REQUEST", `Neither release has a component ${quote(unknown)}`, {
      mend: `Name some of: ${[...known].sort().join(", ")}.`,
    });
  }
  const names = new Set(components);
  const stages = present.template.stages.map((stage) => composeStage(stage, { present, asked, names, taken }));
  const parameters = parametersOf(stages, present.template, asked.template);
  const template: Template = { ...present.template, stages, parameters };
  requireReferred(template, components);
  const { content } = present;
  return {
    digest: releaseDigest(template, sha256, content),
    version: present.version,
    template,
    source: "",
    sourceDir: present.sourceDir,
    ...(content === undefined ? {} : { content }),
    notes: `${present.version} with ${components.join(", ")} of ${asked.version} (${asked.digest})`,
  };
}

/** Composed ones have no text of their own, and nobody applied them. */
export function isComposed({ source }: Pick<Release, "source">): boolean {
  return source === "";
}

interface Parts {
  readonly present: Release;
  readonly asked: Release;
  readonly names: ReadonlySet<string>;
  readonly taken: ReadonlyMap<string, Component>;
}

function componentsIn({ stages }: Template): readonly Component[] {
  return stages.flatMap((stage) => stage.components);
}

function composeStage(stage: Stage, { present, asked, names, taken }: Parts): Stage {
  const kept = stage.components.flatMap((component): readonly Component[] => {
    if (!names.has(component.name)) return [atRest(component)];
    const next = taken.get(component.name);
    return next === undefined ? [] : [withContent(next, asked, present)];
  });
  const here = new Set(componentsIn(present.template).map(({ name }) => name));
  const inAsked = asked.template.stages.find(({ name }) => name === stage.name)?.components ?? [];
  const added = inAsked.filter(({ name }) => names.has(name) && !here.has(name));
  return { ...stage, components: [...kept, ...added.map((component) => withContent(component, asked, present))] };
}

/** It has run for what the stamp runs, and a later one may have run since: it must not run again for another part's sake. */
function atRest(component: Component): Component {
  return component.kind === "job" && component.run === "release" ? { ...component, run: "hook" } : component;
}

/** The files of the release that it is taken from, where those are not the composed one's. */
function withContent(component: Component, asked: Release, present: Release): Component {
  if (component.kind !== "service" && component.kind !== "job") return component;
  const { content: _, ...rest } = component;
  const content = component.content ?? asked.content;
  const isSame = component.command === undefined || content === undefined || content === present.content;
  return isSame ? rest : { ...rest, content };
}

/** Those of the present release, and of the asked one those that a taken part refers to. */
function parametersOf(stages: readonly Stage[], present: Template, asked: Template): Template["parameters"] {
  const referred = stages.flatMap((stage) => stage.components).flatMap(referencesOf);
  const named = referred.filter(({ of }) => of === "params").map(({ field }) => field);
  const added: Record<string, ParameterSpec> = {};
  for (const name of named) {
    const spec = asked.parameters[name];
    if (spec !== undefined && !Object.hasOwn(present.parameters, name)) added[name] = spec;
  }
  return { ...present.parameters, ...added };
}

function requireReferred(template: Template, components: readonly string[]): void {
  const known = new Set<string>([
    ...componentsIn(template).map(({ name }) => name),
    ...Object.keys(referenceFields),
    "params",
  ]);
  const { service } = template.ingress;
  if (!known.has(service)) {
    throw new StampyardError("INVALID_REQUEST", `Without component ${service} nothing would serve`, {
      mend: "Roll out the whole release.",
    });
  }
  for (const component of componentsIn(template)) {
    const missing = referencesOf(component).find(({ of }) => !known.has(of));
    if (missing === undefined) continue;
    throw new StampyardError(
      "INVALID_REQUEST",
      `Component ${component.name} needs ${missing.of}, which would not be there`,
      { mend: `Name both: --components ${[...components, missing.of].join(",")}.` },
    );
  }
}

function referencesOf(component: Component): readonly Reference[] {
  const found: Reference[] = [];
  const look = (value: unknown): void => {
    if (Array.isArray(value)) for (const one of value) look(one);
    else if (typeof value === "object" && value !== null) {
      const { of, field } = value as { of?: unknown; field?: unknown };
      if (typeof of === "string" && typeof field === "string") found.push({ of, field });
      else for (const one of Object.values(value)) look(one);
    }
  };
  if (component.kind === "service" || component.kind === "job") {
    look([component.command, component.image, Object.values(component.env)]);
    for (const name of component.after) found.push({ of: name, field: "" });
  }
  if (component.kind === "external") look(component.url);
  return found;
}
