import { z } from "zod";
import { durationPattern, parseDuration, parseSize, sizePattern } from "./quantity.ts";

/*
 * Builders of schema fields. By convention the zod message of a field is what it expects, in words ("a whole number
 * from 1 to 16"): problem messages and mends are composed from it in one place (issues.ts).
 */

/** A map with these fields and no others. The message of an unknown field lists the known ones. */
export function fields<S extends z.ZodRawShape>(expects: string, shape: S) {
  const known = Object.keys(shape).join(" ");
  return z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? known : expects) });
}

export function words(expects: string, pattern: RegExp, maxLength: number) {
  return z.string({ error: expects }).max(maxLength, { error: expects }).regex(pattern, { error: expects });
}

export function whole(min: number, max: number) {
  const expects = `a whole number from ${min} to ${max}`;
  return z.int({ error: expects }).min(min, { error: expects }).max(max, { error: expects });
}

export function flag() {
  return z.boolean({ error: "true or false" });
}

export function oneOf<const T extends readonly [string, ...string[]]>(options: T) {
  return z.enum(options, { error: options.length === 1 ? `the word ${options[0]}` : `one of ${options.join(", ")}` });
}

/** A duration between two others, e.g. `duration("1s", "10m", "30s")`; the last is an example. */
export function duration(min: string, max: string, example: string) {
  const expects = `a duration from ${min} to ${max}, such as ${example}`;
  const least = parseDuration(min) ?? 0;
  const most = parseDuration(max) ?? 0;
  return z
    .string({ error: expects })
    .regex(durationPattern, { error: expects })
    .refine((text) => within(parseDuration(text), least, most), { error: expects, params: { expects } });
}

export function size(min: string, max: string, example: string) {
  const expects = `a size from ${min} to ${max}, such as ${example}`;
  const least = parseSize(min) ?? 0;
  const most = parseSize(max) ?? 0;
  return z
    .string({ error: expects })
    .regex(sizePattern, { error: expects })
    .refine((text) => within(parseSize(text), least, most), { error: expects, params: { expects } });
}

function within(value: number | undefined, least: number, most: number): boolean {
  return value !== undefined && value >= least && value <= most;
}

export function mapOf<V extends z.ZodType>(key: z.ZodString, value: V, expects: string) {
  return z.record(key, value, { error: expects });
}

export function listOf<V extends z.ZodType>(value: V, expects: string, min: number, max: number) {
  return z.array(value, { error: expects }).min(min, { error: expects }).max(max, { error: expects });
}

/** The same language as `isName` of the domain, as a pattern that editors can check. */
export const namePattern = /^[a-z](?:-?[a-z0-9])*$/;
export const nameRule = "1 to 40 lower-case letters, digits and single hyphens, starting with a letter";

export function name(what: string) {
  return words(`a ${what} name of ${nameRule}`, namePattern, 40);
}

/** A refinement with its own message and mend instead of an expectation. */
export function rule(message: string, mend: string) {
  return { error: message, params: { mend } };
}

export const apiVersion = "stampyard.dev/v1alpha1";
