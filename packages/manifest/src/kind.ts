import { quote } from "@stampyard/domain";
import { apiVersion } from "./field.ts";
import type { Finding } from "./problem.ts";
import { keyOffset, type ReadFile, valueOffset } from "./read-yaml.ts";

const files = { StampTemplate: "stamp.yaml", Fleet: "fleet.yaml" } as const;

/** A file of another kind has one problem, not one for each of its fields. */
export function kindFault(file: ReadFile, wanted: keyof typeof files): Finding | undefined {
  const kind = file.value?.["kind"];
  const path = ["kind"];
  if (kind === wanted) return undefined;
  if (kind === undefined || typeof kind !== "string") {
    const mend = `Add kind: ${wanted} and apiVersion: ${apiVersion}.`;
    return { offset: keyOffset(file.places, path), path, message: "Missing field kind", mend };
  }
  const other =
    kind === "StampTemplate" || kind === "Fleet" ? ` Give this file where a ${files[kind]} is asked for.` : "";
  const message = `File is a ${quote(kind)}, not a ${wanted}`;
  return { offset: valueOffset(file.places, path), path, message, mend: `Write kind: ${wanted}.${other}` };
}
