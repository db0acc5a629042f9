import type { ComponentKind, Reference } from "@stampyard/domain";
import { componentKinds } from "./component-file.ts";
import type { Path } from "./problem.ts";
import type { Plain } from "./read-yaml.ts";
import type { Use } from "./references.ts";

/** One text that may hold references, where it stands. */
export interface TextField {
  readonly path: Path;
  readonly source: string;
  readonly field: Use["field"];
}

export interface OutlineComponent {
  readonly name: string;
  readonly path: Path;
  readonly kind: ComponentKind | undefined;
  readonly listens: boolean;
  readonly stage: number;
  readonly after: readonly { readonly name: string; readonly path: Path }[];
  readonly texts: readonly TextField[];
  /** Filled by the reference check. */
  readonly references: Reference[];
  readonly raw: { readonly [key: string]: Plain };
}

export interface Outline {
  readonly components: readonly OutlineComponent[];
  readonly stages: readonly { readonly name: Plain | undefined; readonly path: Path }[];
  readonly jobsOfHooks: ReadonlySet<string>;
}

/**
 * What can be read of a template, right or wrong, so that one wrong field does not hide the problems of the others:
 * the shape is checked by the schema, the meaning is checked on this.
 */
export function outlineOf(root: { readonly [key: string]: Plain }): Outline {
  const stages: { name: Plain | undefined; path: Path }[] = [];
  const components: OutlineComponent[] = [];
  const add = (map: Plain | undefined, path: Path, stage: number) => {
    for (const [name, raw] of Object.entries(asMap(map))) {
      components.push(outlineComponent(name, asMap(raw), [...path, name], stage));
    }
  };
  add(root["components"], ["components"], 0);
  const list = root["stages"];
  for (const [index, raw] of (Array.isArray(list) ? list : []).entries()) {
    const path = ["stages", index];
    stages.push({ name: asMap(raw)["name"], path });
    add(asMap(raw)["components"], [...path, "components"], index);
  }
  const hooks = Object.values(asMap(root["hooks"])).map((hook) => asMap(hook)["job"]);
  return { components, stages, jobsOfHooks: new Set(hooks.filter((job) => typeof job === "string")) };
}

function outlineComponent(
  name: string,
  raw: { readonly [key: string]: Plain },
  path: Path,
  stage: number,
): OutlineComponent {
  const kind = componentKinds.find((known) => known === raw["kind"]);
  const process = kind === undefined || kind === "service" || kind === "job";
  const texts = process ? processTexts(raw, path) : [];
  const url = raw["url"];
  if (kind === "external" && typeof url === "string") texts.push({ path: [...path, "url"], source: url, field: "url" });
  const after = process && Array.isArray(raw["after"]) ? raw["after"] : [];
  return {
    name,
    path,
    kind,
    listens: raw["port"] !== undefined,
    stage,
    after: after.flatMap((item, index) =>
      typeof item === "string" ? [{ name: item, path: [...path, "after", index] }] : [],
    ),
    texts,
    references: [],
    raw,
  };
}

function processTexts(raw: { readonly [key: string]: Plain }, path: Path): TextField[] {
  const texts: TextField[] = [];
  const add = (source: Plain | undefined, field: TextField["field"], ...at: Path) => {
    if (typeof source === "string") texts.push({ path: [...path, ...at], source, field });
  };
  const command = raw["command"];
  if (Array.isArray(command)) for (const [index, word] of command.entries()) add(word, "command", "command", index);
  else add(command, "command", "command");
  add(raw["image"], "image", "image");
  for (const [name, value] of Object.entries(asMap(raw["env"]))) add(value, "env", "env", name);
  return texts;
}

export function asMap(value: Plain | undefined): { readonly [key: string]: Plain } {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}
