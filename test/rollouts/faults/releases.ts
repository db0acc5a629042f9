import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Releases of the notes application: the good one, and each with one small change that really goes wrong. */

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const notes = join(root, "examples/notes");
const programs = join(root, "test/rollouts/faults/programs");

export interface Variant {
  /** Also its version, so that every answer names it. */
  readonly name: string;
  /** What is wrong with it, for a reader of a report. */
  readonly what: string;
  readonly edit?: (template: string) => string;
  /** More files, by their path in the release. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Applied before all others. */
export const good: Variant = { name: "good-1", what: "as it should be" };

/** Another release of the same that is as good; its jobs and services run anew. */
export function goodAgain(number: number): Variant {
  return { name: `good-${number}`, what: "as it should be" };
}

export const faults = {
  crashLoop: program("crash-loop", "api", "its API dies 0.7 s after each start"),
  errors: program("errors", "api", "5% of its answers are errors"),
  slow: program("slow", "api", "every answer takes 300 ms longer"),
  leak: {
    ...program("leak", "api", "its API's memory grows until its limit ends it"),
    edit: (template) => instead(template, "node dist/api.js", "node --max-old-space-size=64 faults/leak.ts"),
  },
  oneTenant: program("one-tenant", "api", "it fails for one tenant"),
  failsLate: program("fails-late", "api", "a third of its answers become errors some time after its start"),
  healthLies: {
    ...program("health-lies", "api", "its health check says 200 while its database is not found"),
    edit: (template) =>
      instead(
        instead(template, "node dist/api.js", "node faults/health-lies.ts"),
        "${db.url}\n      CACHE_URL",
        "postgresql://nobody@127.0.0.1:9/app\n      CACHE_URL",
      ),
  },
  slowStart: program("slow-start", "api", "its API starts slower than it is given time"),
  badMigration: {
    name: "bad-migration",
    what: "its migration fails",
    files: { "migrations/005-labels.sql": "alter table nots add column label text;\n" },
  },
  typo: {
    name: "typo",
    what: "a variable of its API is misspelled",
    edit: (template) => instead(template, "QUEUE_URL", "QUEUE_ULR", "  api:"),
  },
  workerCrash: program("worker-crash", "worker", "its worker dies 0.7 s after each start, and no request fails"),
  workerStuck: program("worker-stuck", "worker", "its worker lives and does nothing, and no request fails"),
} as const satisfies Record<string, Variant>;

/** Slower to start than ever before, and still in time: nothing is wrong with it. */
export function merelySlow(ms: number): Variant {
  return withSetting(program("slow-start", "api", `its API takes ${ms} ms to start, which is in time`), {
    FAULT_START_MS: String(ms),
    name: "merely-slow",
  });
}

/** The same variant with more in the environment of its API. `name` renames it. */
export function withSetting(variant: Variant, { name, ...env }: Readonly<Record<string, string>>): Variant {
  const lines = Object.entries(env).map(([key, value]) => `      ${key}: "${value}"\n`);
  const edit = (template: string) =>
    instead(variant.edit?.(template) ?? template, "    env:\n", `    env:\n${lines.join("")}`, "  api:");
  return { ...variant, edit, ...(name === undefined ? {} : { name }) };
}

/** Less time for a start than the template gives. */
export function startingWithin(variant: Variant, ms: number): Variant {
  const edit = (template: string) =>
    instead(variant.edit?.(template) ?? template, "path: /healthz", `path: /healthz\n      startWithin: ${ms}ms`);
  return { ...variant, edit };
}

function program(name: string, component: "api" | "worker", what: string): Variant & Required<Pick<Variant, "edit">> {
  return {
    name,
    what,
    edit: (template) => instead(template, `node dist/${component}.js`, `node faults/${name}.ts`),
  };
}

/** The first place behind `after`. A change that finds nothing to change would be a good release with a bad name. */
function instead(template: string, what: string, by: string, after = ""): string {
  const from = template.indexOf(after);
  const at = from < 0 ? -1 : template.indexOf(what, from);
  if (at < 0) throw new Error(`stamp.yaml does not hold ${JSON.stringify(what)} behind ${JSON.stringify(after)}`);
  return template.slice(0, at) + by + template.slice(at + what.length);
}

/** Makes `dir` the folder of this release, whatever was in it: stamp.yaml beside all that it runs. */
export function writeRelease(dir: string, { name, edit, files = {} }: Variant): void {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  for (const part of ["dist", "migrations", "package.json"]) {
    cpSync(join(notes, part), join(dir, part), { recursive: true, filter: (path) => !/\.(?:map|d\.ts)$/.test(path) });
  }
  cpSync(programs, join(dir, "faults"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  for (const [path, text] of Object.entries(files)) writeFileSync(join(dir, path), text);
  const template = readFileSync(join(notes, "stamp.yaml"), "utf8");
  const named = instead(template, "version: 1.0.0", `version: ${name}`);
  writeFileSync(join(dir, "stamp.yaml"), edit === undefined ? named : edit(named));
}
