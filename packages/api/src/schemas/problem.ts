import { z } from "zod";

/** RFC 9457 with our code and mend. `problems` lists every fault of a manifest or a request, not the first. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.string(),
    detail: z.string(),
    mend: z.string().optional(),
    requestId: z.string().optional(),
    problems: z
      .array(
        z.object({
          message: z.string(),
          mend: z.string().optional(),
          path: z.string().optional(),
          file: z.string().optional(),
          line: z.number().optional(),
          column: z.number().optional(),
          excerpt: z.string().optional(),
        }),
      )
      .optional(),
  })
  .meta({ id: "Problem" });
export type ProblemView = z.output<typeof problemSchema>;
