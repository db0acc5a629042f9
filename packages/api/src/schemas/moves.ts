import { z } from "zod";

/** Where a move stands now; `MoveProgress` of domain. */
export const moveProgressSchema = z
  .object({
    step: z.enum(["copy", "follow", "verify", "erase"]),
    table: z.string().optional(),
    tablesDone: z.number().int(),
    tables: z.number().int(),
    rows: z.number().int(),
    bytes: z.number().int(),
    ofRows: z.number().int(),
    ofBytes: z.number().int(),
    rowsPerSecond: z.number(),
    etaMs: z.number().optional(),
    lag: z.number().int().optional(),
    waitingOn: z.string().optional(),
  })
  .meta({ id: "MoveProgress" });
