import { readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { Problem as ManifestProblem } from "@stampyard/manifest";
import { CommandFailure } from "./failure.ts";

/** What plan and apply send: both files as texts, and the folder that commands of the template start from. */
export interface ManifestTexts {
  readonly fleetYaml: string;
  readonly fleetFile: string;
  readonly templateYaml: string;
  readonly templateFile: string;
  readonly sourceDir: string;
}

/** Both files, parsed: problems of both come together. */
export interface ReadManifests {
  readonly texts: ManifestTexts;
  /** Name of the fleet. */
  readonly fleet: string;
}

/**
 * Reads a fleet file and the template it names, and checks them here, so that mistakes show before anything is started.
 *
 * @throws CommandFailure NOT_FOUND, INVALID_MANIFEST with every problem
 */
export async function readManifestsChecked(cwd: string, file: string): Promise<ReadManifests> {
  const { parseFleet, parseTemplate } = await import("@stampyard/manifest");
  const fleetPath = resolve(cwd, file);
  const fleetFile = nameFor(cwd, fleetPath);
  const fleetYaml = readManifest(fleetPath, "fleet file", "Name it with -f.");
  const first = parseFleet(fleetYaml, { file: fleetFile });
  if (!first.ok) throw await manifestFailure([{ file: fleetFile, text: fleetYaml, problems: first.problems }]);
  const templatePath = resolve(dirname(fleetPath), first.fleet.template);
  const templateFile = nameFor(cwd, templatePath);
  const templateYaml = readManifest(templatePath, "template", `Correct \`template\` in ${fleetFile}.`);
  const template = parseTemplate(templateYaml, { file: templateFile });
  if (!template.ok)
    throw await manifestFailure([{ file: templateFile, text: templateYaml, problems: template.problems }]);
  const both = parseFleet(fleetYaml, { file: fleetFile, template: template.template });
  if (!both.ok) throw await manifestFailure([{ file: fleetFile, text: fleetYaml, problems: both.problems }]);
  const sourceDir = dirname(templatePath);
  return { texts: { fleetYaml, fleetFile, templateYaml, templateFile, sourceDir }, fleet: both.fleet.name };
}

const largestBytes = 1024 * 1024;

/** Reads a file whose size is bounded before it is read: a mistyped path may name anything. */
export function readManifest(path: string, what: string, mend: string): string {
  try {
    const { size, isFile } = statOf(path);
    if (!isFile) throw new CommandFailure("NOT_FOUND", `The ${what} ${path} is no file`, { mend });
    if (size > largestBytes) {
      throw new CommandFailure(
        "PAYLOAD_TOO_LARGE",
        `The ${what} ${path} has ${size} bytes; ${largestBytes} is the limit`,
      );
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "is not there" : (error as Error).message;
    throw new CommandFailure("NOT_FOUND", `The ${what} ${path} ${why}`, { mend, cause: error });
  }
}

function statOf(path: string): { size: number; isFile: boolean } {
  const stat = statSync(path);
  return { size: stat.size, isFile: stat.isFile() };
}

/** Short where the file is below the working directory, so that editors and terminals can link it. */
function nameFor(cwd: string, path: string): string {
  const near = relative(cwd, path);
  return near === "" || near.startsWith("..") ? path : join(near);
}

/** Problems of one file as one failure: drawn for people, listed for scripts. */
export async function manifestFailure(
  faulty: readonly { readonly file: string; readonly text: string; readonly problems: readonly ManifestProblem[] }[],
): Promise<CommandFailure> {
  const { formatProblems } = await import("@stampyard/manifest");
  const count = faulty.reduce((sum, one) => sum + one.problems.length, 0);
  const files = faulty.map((one) => one.file).join(" and ");
  return new CommandFailure("INVALID_MANIFEST", `${count} ${count === 1 ? "problem" : "problems"} in ${files}`, {
    problems: faulty.flatMap((one) => one.problems),
    drawing: faulty.map((one) => formatProblems(one.problems, one.text)).join("\n\n"),
  });
}
