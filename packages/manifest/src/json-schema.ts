import { z } from "zod";
import { fleetFile } from "./fleet-file.ts";
import { templateFile } from "./template-file.ts";

/** JSON Schemas (draft-7, which editors read) of both files, by the name of the file they are kept in. */
export function jsonSchemas(): Readonly<Record<string, object>> {
  return {
    "stamp-template.schema.json": schemaOf(
      templateFile,
      "Stampyard stamp template",
      "stamp.yaml: what one stamp is made of",
    ),
    "fleet.schema.json": schemaOf(
      fleetFile,
      "Stampyard fleet",
      "fleet.yaml: pools of stamps, and how requests name tenants",
    ),
  };
}

function schemaOf(schema: z.ZodType, title: string, description: string): object {
  const { $schema, ...rest } = z.toJSONSchema(schema, { target: "draft-7", io: "input" });
  const $comment = "Generated from the schemas in src; to make it anew: npm run schemas -w @stampyard/manifest";
  return { $schema, $comment, title, description, ...rest };
}
