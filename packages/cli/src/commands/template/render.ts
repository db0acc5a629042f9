import { resolve } from "node:path";
import { command } from "../../define.ts";
import { manifestFailure, readManifest } from "../../manifest-files.ts";
import { sha256 } from "../../sha256.ts";
import { parseParameters } from "../stamp/create.ts";

interface Options {
  readonly stamp: string;
  readonly pool: string;
  readonly region: string;
  readonly param?: readonly string[];
}

export const templateRender = command<Options>({
  usage: "render [file]",
  summary: "Render a template for one stamp, as the control plane would",
  about:
    "Works offline and prints JSON. What only the engine knows (ports, passwords) stays a reference such as ${db.url}.",
  connects: false,
  completes: ["file"],
  options: (c) =>
    c
      .option("--stamp <name>", "name of the stamp", "shared-1")
      .option("--pool <name>", "its pool", "shared")
      .option("--region <name>", "its region", "local")
      .option("--param <name=value...>", "a parameter of the template"),
  examples: [
    ["template render stamp.yaml --stamp shared-1 --region eu", "what the stamp would be, with both digests"],
    ["template render --param replicas=2", "with a parameter"],
  ],
  run: async (run) => {
    const file = run.args[0] ?? "stamp.yaml";
    const { parseTemplate, renderStamp } = await import("@stampyard/manifest");
    const text = readManifest(resolve(run.io.cwd, file), "template", "Name it: stampyard template render FILE.");
    const parsed = parseTemplate(text, { file });
    if (!parsed.ok) throw await manifestFailure([{ file, text, problems: parsed.problems }]);
    const identity = { name: run.options.stamp, pool: run.options.pool, region: run.options.region };
    const stamp = renderStamp(parsed.template, identity, parseParameters(run.options.param ?? []), sha256);
    run.emit(stamp, () => `${JSON.stringify(stamp, undefined, 2)}\n`);
  },
});
