import {
  canonicalJson,
  type Component,
  type Resources,
  type Stage,
  type TenantHook,
  type TenantHookSet,
  type Template,
  type Text,
  type VerifyStep,
} from "@stampyard/domain";
import type { ComponentFile } from "./component-file.ts";
import { checkShape } from "./issues.ts";
import { kindFault } from "./kind.ts";
import type { Path, Problem } from "./problem.ts";
import { problemsOf } from "./problem.ts";
import { type Places, placeKey, readYaml } from "./read-yaml.ts";
import { parseDuration, parseSize } from "./quantity.ts";
import { checkTemplate } from "./template-checks.ts";
import {
  type HookFile,
  type HooksFile,
  type TemplateFile,
  templateFile,
  type VerifyStepFile,
} from "./template-file.ts";
import { parseText, splitCommand } from "./text.ts";

export interface ParseOptions {
  /** Name shown in problems, e.g. the path that the user gave. */
  readonly file: string;
}

export type ParsedTemplate =
  | { readonly ok: true; readonly template: Template }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * Reads `stamp.yaml`. Never throws: every fault is a problem with its place and mend, all of them at once, in file
 * order. Equal templates come out equal whatever the order of keys, the comments or the layout of the text.
 */
export function parseTemplate(raw: string, options: ParseOptions): ParsedTemplate {
  const text = raw.replace(/^\ufeff/, "");
  const file = readYaml(text);
  const fail = (findings: Parameters<typeof problemsOf>[2]): ParsedTemplate => ({
    ok: false,
    problems: problemsOf(options.file, text, findings),
  });
  if (file.value === undefined) return fail(file.findings);
  const foreign = kindFault(file, "StampTemplate");
  if (foreign !== undefined) return fail([...file.findings, foreign]);
  const shape = checkShape(templateFile, file);
  const findings = [...file.findings, ...shape.findings, ...checkTemplate(file, text)];
  if (shape.data === undefined || findings.length > 0) return fail(findings);
  return { ok: true, template: buildTemplate(shape.data, file.places) };
}

function buildTemplate(data: TemplateFile, places: Places): Template {
  const hookJobs = new Set(Object.values(data.hooks ?? {}).map((hook) => hook?.job));
  const build = (components: Readonly<Record<string, ComponentFile>>, path: Path) =>
    sortedEntries(components).map(([name, file]) => {
      const texts: Texts = { places, path: [...path, name] };
      return buildComponent(name, file, texts, hookJobs.has(name));
    });
  const stages: Stage[] =
    data.stages === undefined
      ? [{ name: "main", engine: "local", components: build(data.components ?? {}, ["components"]) }]
      : data.stages.map(({ name, engine, components }, index) => ({
          name,
          engine,
          components: build(components, ["stages", index, "components"]),
        }));
  return {
    name: data.metadata.name,
    version: data.metadata.version,
    parameters: Object.fromEntries(
      sortedEntries(data.parameters ?? {}).map(([name, spec]) => [
        name,
        {
          type: spec.type,
          ...(spec.default === undefined ? {} : { default: spec.default }),
          ...(spec.description === undefined ? {} : { description: spec.description }),
        },
      ]),
    ),
    stages,
    ingress: data.ingress,
    capacity: { tenants: data.capacity.tenants, units: data.capacity.units ?? {} },
    tenancy: data.tenancy,
    hooks: buildHooks(data.hooks ?? {}),
    ...(data.verify === undefined ? {} : { verify: data.verify.map(buildVerifyStep) }),
  };
}

interface Texts {
  readonly places: Places;
  readonly path: Path;
}

function buildComponent(name: string, file: ComponentFile, texts: Texts, ofHook: boolean): Component {
  switch (file.kind) {
    case "service":
      return { name, kind: "service", ...buildProcess(file, texts), ...buildService(file) };
    case "job": {
      const timeoutMs = milliseconds(file.timeout, 300_000);
      return { name, kind: "job", ...buildProcess(file, texts), timeoutMs, run: ofHook ? "hook" : "release" };
    }
    case "postgres":
      return {
        name,
        kind: "postgres",
        version: file.version ?? 18,
        maxConnections: file.maxConnections ?? 50,
        ...buildData(file),
        ids: Object.fromEntries(
          sortedEntries(file.ids ?? {}).map(([sequence, policy]) => [sequence, idPolicy(policy)]),
        ),
        via: file.via ?? {},
        // Only what is declared: a template that names none of them keeps its digest.
        ...(file.fence === undefined ? {} : { fence: file.fence }),
        ...(file.reference === undefined ? {} : { reference: [...new Set(file.reference)].sort() }),
        ...(file.ignored === undefined ? {} : { ignored: [...new Set(file.ignored)].sort() }),
      };
    case "redis":
      return {
        name,
        kind: "redis",
        maxMemoryMb: parseSize(file.maxMemory ?? "") ?? 64,
        persistence: file.persistence ?? "none",
        ...buildData(file),
      };
    case "nats":
      return { name, kind: "nats", jetstream: file.jetstream ?? false, ...buildData(file) };
    case "external": {
      const url = textOf(file.url);
      return { name, kind: "external", url, ...(file.secret === undefined ? {} : { secret: file.secret }) };
    }
  }
}

type ProcessFile = Extract<ComponentFile, { kind: "service" | "job" }>;

function buildProcess(file: ProcessFile, { places, path }: Texts) {
  const env = sortedEntries(file.env ?? {}).map(([name, value]): [string, Text] => {
    // As it was written: `1.10` stays 1.10, though YAML calls it the number 1.1.
    const source = places.get(placeKey([...path, "env", name]))?.source;
    return [name, textOf(typeof value === "string" ? value : (source ?? String(value)))];
  });
  return {
    ...(file.command === undefined ? {} : { command: commandOf(file.command).map(textOf) }),
    ...(file.image === undefined ? {} : { image: textOf(file.image) }),
    ...(file.workdir === undefined ? {} : { workdir: file.workdir }),
    env: Object.fromEntries(env),
    resources: buildResources(file.resources),
    after: [...new Set(file.after ?? [])].sort(),
  };
}

function buildService(file: Extract<ComponentFile, { kind: "service" }>) {
  const health = file.health && {
    path: file.health.path,
    timeoutMs: milliseconds(file.health.timeout, 2_000),
    startWithinMs: milliseconds(file.health.startWithin, 60_000),
  };
  return {
    replicas: file.replicas ?? 1,
    listens: file.port !== undefined,
    ...(health === undefined ? {} : { health }),
    stopGraceMs: milliseconds(file.stopGrace, 10_000),
  };
}

function buildData(file: Extract<ComponentFile, { kind: "postgres" | "redis" | "nats" }>) {
  return { resources: buildResources(file.resources), protect: file.protect ?? false };
}

function buildResources(
  file: ComponentFile extends infer C ? (C extends { resources?: infer R } ? R : never) : never,
): Resources {
  const memoryMb = parseSize(file?.memory ?? "");
  return { ...(memoryMb === undefined ? {} : { memoryMb }), ...(file?.cpus === undefined ? {} : { cpus: file.cpus }) };
}

const hookFields = {
  "tenant.onCreate": "onCreate",
  "tenant.onDelete": "onDelete",
  "tenant.onDrain": "onDrain",
  "tenant.onExport": "onExport",
  "tenant.onImport": "onImport",
  "tenant.onRebuild": "onRebuild",
} as const satisfies Record<keyof HooksFile, keyof TenantHookSet>;

/** Those that are declared, and no more: a template that names none of them keeps its digest. */
function buildHooks(files: HooksFile): TenantHookSet {
  return Object.fromEntries(
    Object.entries(hookFields).flatMap(([name, field]) => {
      const file = files[name as keyof HooksFile];
      return file === undefined ? [] : [[field, buildHook(file)]];
    }),
  );
}

function buildHook(file: HookFile): TenantHook {
  const timeoutMs = milliseconds(file.timeout, 30_000);
  if (file.job !== undefined) return { kind: "job", job: file.job, timeoutMs };
  return { kind: "http", service: file.service ?? "", path: file.path ?? "", timeoutMs };
}

function buildVerifyStep(file: VerifyStepFile): VerifyStep {
  const headers = sortedEntries(file.headers ?? {}).map(([name, value]): [string, Text] => [
    name.toLowerCase(),
    textOf(value),
  ]);
  return {
    method: file.method ?? "GET",
    path: textOf(file.path),
    headers: Object.fromEntries(headers),
    ...(file.json === undefined ? {} : { body: textOf(canonicalJson(file.json)) }),
    ...(file.status === undefined ? {} : { status: file.status }),
    ...(file.text === undefined ? {} : { text: textOf(file.text) }),
    timeoutMs: milliseconds(file.timeout, 5_000),
  };
}

type IdFile = NonNullable<Extract<ComponentFile, { kind: "postgres" }>["ids"]>[string];

function idPolicy(file: IdFile) {
  if (typeof file === "string") return { kind: file };
  return "block" in file ? { kind: "block" as const, size: file.block } : { kind: "stride" as const, of: file.stride };
}

function commandOf(command: string | readonly string[]): readonly string[] {
  if (typeof command !== "string") return command;
  const split = splitCommand(command);
  return split.kind === "words" ? split.words : [];
}

/** Checked before: a malformed reference never gets here. */
function textOf(source: string): Text {
  const scan = parseText(source);
  return scan.kind === "text" ? scan.parts : [source];
}

function milliseconds(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : (parseDuration(text) ?? otherwise);
}

/** By UTF-16 code unit, so that the order of a file never shows in a digest. */
function sortedEntries<V>(map: Readonly<Record<string, V>>): readonly [string, V][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
