import { resolve } from "node:path";
import { command } from "../../define.ts";
import { manifestFailure, readManifest, readManifestsChecked } from "../../manifest-files.ts";

export const templateValidate = command<{ fleet?: string }>({
  usage: "validate [file]",
  summary: "Check a stamp template, and a fleet file with it",
  about: "Works offline. Every problem is shown at once, with its line, a caret and the mend.",
  connects: false,
  completes: ["file"],
  options: (c) => c.option("--fleet <file>", "check this fleet file together with the template it names"),
  examples: [
    ["template validate stamp.yaml", "check one template (default: stamp.yaml)"],
    ["template validate --fleet fleet.yaml", "check a fleet file and its template together"],
  ],
  run: async (run) => {
    if (run.options.fleet !== undefined) {
      const read = await readManifestsChecked(run.io.cwd, run.options.fleet);
      run.emit({ valid: true, fleet: read.fleet, files: [read.texts.fleetFile, read.texts.templateFile] }, () => {
        return `${read.texts.fleetFile} and ${read.texts.templateFile} are valid\n`;
      });
      return;
    }
    const file = run.args[0] ?? "stamp.yaml";
    const { parseTemplate, releaseDigest } = await import("@stampyard/manifest");
    const { sha256 } = await import("../../sha256.ts");
    const text = readManifest(resolve(run.io.cwd, file), "template", "Name it: stampyard template validate FILE.");
    const parsed = parseTemplate(text, { file });
    if (!parsed.ok) throw await manifestFailure([{ file, text, problems: parsed.problems }]);
    const digest = releaseDigest(parsed.template, sha256);
    const { name, version } = parsed.template;
    run.emit({ valid: true, file, template: name, version, releaseDigest: digest }, () => {
      return `${file} is valid: template ${name} ${version}, ${digest}\n`;
    });
  },
});
