import type { Template } from "@stampyard/domain";
import { didYouMean } from "./suggest.ts";

export interface ParameterFault {
  readonly kind: "missing" | "unknown" | "type";
  readonly parameter: string;
  readonly message: string;
  readonly mend: string;
}

/** Everything wrong with the values given for a template's parameters. Values are never echoed. */
export function parameterFaults(template: Pick<Template, "parameters">, given: object): readonly ParameterFault[] {
  const faults: ParameterFault[] = [];
  const declared = Object.keys(template.parameters);
  for (const [parameter, value] of Object.entries(given).slice(0, 1_000)) {
    const spec = Object.hasOwn(template.parameters, parameter) ? template.parameters[parameter] : undefined;
    if (spec === undefined) {
      const mend = didYouMean(parameter, declared, "Declare it in the template, or remove it.");
      faults.push({ kind: "unknown", parameter, message: `Unknown parameter ${parameter}`, mend });
    } else if (typeof value !== spec.type || (typeof value === "number" && !Number.isFinite(value))) {
      const message = `Parameter ${parameter} is not a ${spec.type}`;
      const mend = spec.type === "string" ? "Write a text; quote what looks like a number." : `Write a ${spec.type}.`;
      faults.push({ kind: "type", parameter, message, mend });
    }
  }
  for (const parameter of declared) {
    if (Object.hasOwn(given, parameter) || template.parameters[parameter]?.default !== undefined) continue;
    const mend = `Give ${parameter} under parameters, or a default in the template.`;
    faults.push({ kind: "missing", parameter, message: `Missing parameter ${parameter}`, mend });
  }
  return faults;
}
