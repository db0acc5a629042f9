import { join, relative } from "node:path";
import type { RenderedStamp } from "@stampyard/domain";
import type { Contents } from "./content.ts";

/**
 * A component that was taken from another release starts in that one's kept files. Engines know one folder of a stamp, so
 * it is told as a work directory that leads there.
 */
export function placeFiles(
  rendered: RenderedStamp,
  sourceDir: string,
  contents: Pick<Contents, "dirOf">,
): RenderedStamp {
  const stages = rendered.stages.map((stage) => ({
    ...stage,
    components: stage.components.map((component) => {
      if ((component.kind !== "service" && component.kind !== "job") || component.content === undefined)
        return component;
      const { content, ...rest } = component;
      return { ...rest, workdir: relative(sourceDir, join(contents.dirOf(content), component.workdir ?? ".")) };
    }),
  }));
  return { ...rendered, stages };
}
