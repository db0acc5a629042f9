import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseFleet, parseTemplate } from "@stampyard/manifest";
import { describe, expect, test } from "vitest";
import { referencePages } from "../scripts/reference.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const skipped = new Set(["node_modules", "dist", ".git", "results"]);
const read = (path: string) => readFileSync(join(root, path), "utf8");

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (skipped.has(name)) return [];
    return statSync(path).isDirectory() ? filesBelow(path) : [relative(root, path)];
  });
}

const everyFile = filesBelow(root).filter((path) => path !== "test/reference.test.ts");
const isCode = (path: string) => /\.(?:[cm]?[jt]sx?)$/.test(path);
const isTest = (path: string) => /\.(?:test|contract)\.ts$|\/test-[^/]+\.ts$|^test\//.test(path);

/** Where a variable is set or read for Stampyard itself; an example's environment is that example's business. */
const shipped = everyFile.filter((path) => isCode(path) && !isTest(path) && /^(?:packages|scripts)\//.test(path));
const variable = /\bSTAMPYARD_[A-Z0-9_]*[A-Z0-9]\b/g;

describe("docs", () => {
  test.each(Object.entries(referencePages()))("docs/reference/%s is what `npm run docs` makes", (name, text) => {
    expect(read(`docs/reference/${name}`), "make it anew: npm run docs").toBe(text);
  });

  test("docs/reference holds no page that nobody makes or writes", () => {
    const byHand = ["configuration.md"];
    expect(readdirSync(join(root, "docs/reference")).sort()).toEqual(
      [...Object.keys(referencePages()), ...byHand].sort(),
    );
  });

  test("docs/reference/configuration.md names every variable of the sources, and no other", () => {
    const inCode = new Set(shipped.flatMap((path) => read(path).match(variable) ?? []));
    const inPage = new Set(read("docs/reference/configuration.md").match(variable) ?? []);
    expect(inCode.size).toBeGreaterThan(10);
    expect([...inPage].sort()).toEqual([...inCode].sort());
  });

  test("the tutorial's stamp.yaml and fleet.yaml are valid", () => {
    const blocks = [...read("docs/tutorial.md").matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? "");
    const [template, fleet] = [
      blocks.find((text) => text.includes("kind: StampTemplate")) ?? "",
      blocks.find((text) => text.includes("kind: Fleet")) ?? "",
    ];
    const parsed = parseTemplate(template, { file: "docs/tutorial.md" });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    expect(parseFleet(fleet, { file: "docs/tutorial.md", template: parsed.template })).toMatchObject({ ok: true });
  });

  test("every docs/ path that a source, a message or a page names exists", () => {
    const missing = everyFile
      .filter((path) => isCode(path) || /\.(?:md|ya?ml|json)$/.test(path))
      .flatMap((path) => (read(path).match(/(?<![\w/.-])docs\/[\w./-]*\w/g) ?? []).map((named) => ({ path, named })))
      .filter(({ named }) => !existsSync(join(root, named)))
      .map(({ path, named }) => `${path} names ${named}`);
    expect(missing).toEqual([]);
  });

  test("every relative link of a page leads to a file, and every #place to a heading", () => {
    const broken: string[] = [];
    for (const page of everyFile.filter((path) => path.endsWith(".md"))) {
      for (const [, target = "", place] of prose(read(page)).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)) {
        const file = target === "" ? page : join(dirname(page), target);
        if (!existsSync(join(root, file))) broken.push(`${page} links to ${target}`);
        else if (place !== undefined && file.endsWith(".md") && !anchorsOf(read(file)).has(place)) {
          broken.push(`${page} links to ${target}#${place}`);
        }
      }
    }
    expect(broken).toEqual([]);
  });
});

/** Without blocks of code, where brackets are no links and `#` is no heading. */
function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, "");
}

/** The names that a Markdown reader gives to headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...prose(text).matchAll(/^#{1,6} (.*)$/gm)].map((match) => match[1] ?? "");
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replace(/\s/g, "-"),
    ),
  );
}
