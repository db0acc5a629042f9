import { readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Who may import whom. Every arrow ends at `domain`; read ARCHITECTURE.md before adding one. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  guard: [],
  manifest: ["domain"],
  directory: ["domain", "guard"],
  api: ["domain", "manifest"],
  engines: ["domain"],
  movers: ["domain"],
  testing: ["domain"],
  router: ["domain", "directory", "guard"],
  "control-plane": ["domain", "manifest", "directory", "api", "engines", "movers", "guard"],
  cli: ["api", "manifest", "control-plane", "engines", "router"],
};
const examplesMayImport = ["guard"];

/** Packages without I/O: time, randomness and sockets come in as arguments or ports. */
const purePackages = ["domain", "manifest", "directory"];
const pureFiles = ["packages/router/src/decide.ts", "packages/router/src/decide-by-trials.ts"];
/** The router's data path is our own, all the way down. */
const withoutNpm = ["domain", "guard", "directory", "router"];

const impure: readonly (readonly [RegExp, string])[] = [
  [/\b(?:from|import)\s*\(?\s*"node:/, "imports node:"],
  [/\bDate\b(?!\w)/, "names Date"],
  [/\bMath\.random\b/, "names Math.random"],
  [/\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/, "names a timer"],
  [/\bprocess\./, "names process"],
  [/\bfetch\(/, "calls fetch"],
  [/\bperformance\b/, "names performance"],
];

const dumpingGrounds = /^(?:utils?|helpers?|common|shared|misc|lib)(?:\.[cm]?[jt]sx?)?$/;
const skipped = new Set(["node_modules", "dist", ".git", "results"]);

function filesBelow(folder: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync(folder)) {
    if (skipped.has(name)) continue;
    const path = join(folder, name);
    if (statSync(path).isDirectory()) found.push(...filesBelow(path));
    else found.push(path);
  }
  return found;
}

const everyFile = filesBelow(root).map((path) => relative(root, path).split(sep).join("/"));
const sources = everyFile.filter((path) => /\.[cm]?tsx?$/.test(path));
const read = (path: string) => readFileSync(join(root, path), "utf8");
/** Comments may speak of Date and timers; code may not. Strings stay: an import is a string. */
const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");

const importsOf = (text: string) =>
  [...withoutComments(text).matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"([@.\w][\w./:@-]*)"/g)].map(
    (match) => match[1] ?? "",
  );

const packageOf = (path: string) => /^packages\/([^/]+)\//.exec(path)?.[1];
const isTest = (path: string) => /(?:\.test|\.contract)\.tsx?$/.test(path) || /\/test-[^/]+\.ts$/.test(path);
const workspaceImport = /^(?:@stampyard\/([^/]+)|(stampyard))(?:\/(.*))?$/;

function fail(problems: readonly string[], mend: string): void {
  expect(problems, `${mend}\n${problems.join("\n")}`).toEqual([]);
}

describe("the repository", () => {
  test("imports follow the table of ARCHITECTURE.md", () => {
    const problems: string[] = [];
    for (const path of sources) {
      const owner = packageOf(path);
      const allowed = owner === undefined ? examplesMayImport : mayImport[owner];
      if (owner === undefined && !path.startsWith("examples/")) continue;
      if (allowed === undefined) problems.push(`${path}: package ${owner} has no row in the table`);
      for (const target of importsOf(read(path))) {
        const found = workspaceImport.exec(target);
        const name = found?.[1] ?? (found?.[2] === undefined ? undefined : "cli");
        if (name === undefined || name === owner) continue;
        // A test may use the suites and clocks of `testing`; what ships may not.
        if (name === "testing" && isTest(path)) continue;
        if (!allowed?.includes(name)) problems.push(`${path} imports ${target}`);
      }
    }
    fail(problems, "Move the code to where the arrow is allowed, or argue for a new arrow in ARCHITECTURE.md:");
  });

  test("imports inside a package are relative, and no relative import leaves its package", () => {
    const problems: string[] = [];
    for (const path of sources.filter((p) => packageOf(p) !== undefined || p.startsWith("examples/"))) {
      const home = path.split("/").slice(0, 2).join("/");
      for (const target of importsOf(read(path))) {
        if (target.startsWith(".") && !join(dirname(path), target).startsWith(`${home}/`)) {
          problems.push(`${path} reaches out with ${target}`);
        }
        if (target === "./index.ts" || target === "../index.ts" || target === ".")
          problems.push(`${path} imports its barrel`);
      }
    }
    fail(problems, "Import the file itself, or the other package by its name:");
  });

  test("package.json names exactly the workspace packages that are imported", () => {
    const problems: string[] = [];
    for (const name of Object.keys(mayImport)) {
      const manifest = JSON.parse(read(`packages/${name}/package.json`)) as {
        dependencies?: Record<string, string>;
        devDependencies?: Record<string, string>;
      };
      const declared = { ...manifest.dependencies };
      for (const version of Object.values({ ...declared, ...manifest.devDependencies })) {
        if (!/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
          problems.push(`packages/${name} pins nothing with ${version}`);
      }
      const used = new Set<string>();
      for (const path of sources.filter((p) => p.startsWith(`packages/${name}/`) && !isTest(p))) {
        for (const target of importsOf(read(path))) {
          if (target.startsWith(".") || target.startsWith("node:") || target === "vitest") continue;
          used.add(target.startsWith("@") ? target.split("/").slice(0, 2).join("/") : (target.split("/")[0] ?? target));
        }
      }
      for (const target of used)
        if (declared[target] === undefined) problems.push(`packages/${name} uses ${target} undeclared`);
    }
    fail(problems, "Declare it in that package.json, with an exact version:");
  });

  test("pure packages name no node:, Date, Math.random or timers", () => {
    const problems: string[] = [];
    const inScope = (path: string) => purePackages.includes(packageOf(path) ?? "") || pureFiles.includes(path);
    for (const path of sources.filter((p) => inScope(p) && !isTest(p))) {
      const text = withoutComments(read(path));
      for (const [pattern, what] of impure) if (pattern.test(text)) problems.push(`${path} ${what}`);
    }
    fail(problems, "Take it as an argument or through a port (domain/ports.ts):");
  });

  test("guard, directory and router have no npm dependency", () => {
    for (const name of withoutNpm) {
      const manifest = JSON.parse(read(`packages/${name}/package.json`)) as { dependencies?: Record<string, string> };
      const foreign = Object.keys(manifest.dependencies ?? {}).filter((dep) => !dep.startsWith("@stampyard/"));
      expect(foreign, `packages/${name}`).toEqual([]);
    }
  });

  test("no file is longer than 400 lines", () => {
    const problems = everyFile
      .filter((path) => /\.(?:[cm]?[jt]sx?)$/.test(path))
      .map((path) => ({ path, lines: read(path).split("\n").length - 1 }))
      .filter(({ lines }) => lines > 400)
      .map(({ path, lines }) => `${path}: ${lines} lines`);
    fail(problems, "Split it by state or by verb:");
  });

  test("no folder or file is a dumping ground", () => {
    const problems = everyFile.filter((path) => path.split("/").some((part) => dumpingGrounds.test(part)));
    fail(problems, "Name the thing it holds:");
  });

  test("no source holds a path of one machine or a registry's host", () => {
    const problems = everyFile
      .filter(
        (path) => /\.(?:[cm]?[jt]sx?|json|md|ya?ml)$|^\.ci\/run$/.test(path) && path !== "test/repository.test.ts",
      )
      .filter((path) =>
        /\/work\/(?:main|shared|brief|\.library)|registry\.npmjs\.org|deb\.debian\.org/.test(read(path)),
      );
    fail(problems, "Take it out:");
  });
});
