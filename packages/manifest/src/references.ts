import type { ComponentKind, ParameterSpec, Reference } from "@stampyard/domain";
import { didYouMean } from "./suggest.ts";

/**
 * Every field a reference may name, by the kind of component or by reserved word. Engines follow this table; `params`
 * is what the template declares. The mover role of a database (decision D4) is not here on purpose.
 */
export const referenceFields = {
  postgres: ["url", "migrationUrl"],
  redis: ["url"],
  nats: ["url"],
  service: ["url"],
  job: [],
  external: ["url", "secret"],
  stamp: ["name", "region", "pool"],
  route: ["keys"],
  release: ["version", "digest"],
  self: ["port", "replica"],
} as const satisfies Record<ComponentKind | "stamp" | "route" | "release" | "self", readonly string[]>;

/** References whose values are or hold secrets: never in a command line, which every user of the machine can read. */
export const secretReferences = {
  postgres: ["url", "migrationUrl"],
  redis: ["url"],
  nats: ["url"],
  external: ["secret"],
  route: ["keys"],
} as const satisfies Partial<Record<keyof typeof referenceFields, readonly string[]>>;

export interface Target {
  readonly kind: ComponentKind | undefined;
  readonly listens: boolean;
  readonly stage: number;
}

/** Where a reference stands: what it may name depends on it. */
export interface Use {
  readonly component: string;
  readonly kind: ComponentKind | undefined;
  readonly field: "command" | "image" | "env" | "url";
  readonly listens: boolean;
  readonly stage: number;
}

export interface Scope {
  readonly components: ReadonlyMap<string, Target>;
  readonly parameters: Readonly<Record<string, Pick<ParameterSpec, "type"> | undefined>>;
}

export interface Fault {
  readonly message: string;
  readonly mend: string;
}

const reserved = ["stamp", "params", "route", "release", "self"];
/** What an image or an external URL may hold: values known before anything runs, and no secrets. */
const earlyWords = ["stamp", "params", "release"];

/** What is wrong with one reference, or undefined. */
export function referenceFault(reference: Reference, use: Use, scope: Scope): Fault | undefined {
  const { of, field } = reference;
  const shown = `\${${of}.${field}}`;
  if (of === "params") {
    if (Object.hasOwn(scope.parameters, field)) return undefined;
    const mend = didYouMean(field, Object.keys(scope.parameters), `Declare ${field} under parameters.`);
    return { message: `Unknown parameter in ${shown}`, mend };
  }
  const target = scope.components.get(of);
  const isWord = of in referenceFields && reserved.includes(of);
  if (target === undefined && !isWord) {
    const mend = didYouMean(of, [...scope.components.keys(), ...reserved], `Add a component ${of}, or mend the name.`);
    return { message: `Unknown component in ${shown}`, mend };
  }
  const kind = isWord ? (of as "stamp" | "route" | "release" | "self") : target?.kind;
  // A component whose own kind is wrong has its problem already.
  if (kind === undefined) return undefined;
  const allowed: readonly string[] = referenceFields[kind];
  if (!allowed.includes(field)) return unknownField(reference, kind, allowed);
  return placeFault(reference, kind, use) ?? (target === undefined ? undefined : targetFault(reference, target, use));
}

function unknownField(reference: Reference, kind: keyof typeof referenceFields, allowed: readonly string[]): Fault {
  const shown = `\${${reference.of}.${reference.field}}`;
  if (kind === "job") {
    return { message: `Reference ${shown} names a job, which offers nothing`, mend: "Use after to wait for a job." };
  }
  const what = reserved.includes(kind) ? kind : `${kind} ${reference.of}`;
  const mend = didYouMean(reference.field, allowed, "Use one of these.");
  return { message: `Unknown field of ${what} in ${shown}`, mend };
}

function placeFault(reference: Reference, kind: keyof typeof referenceFields, use: Use): Fault | undefined {
  const shown = `\${${reference.of}.${reference.field}}`;
  if ((use.field === "url" || use.field === "image") && !earlyWords.includes(kind)) {
    const mend = "Use only ${stamp.*}, ${params.*} and ${release.*} here.";
    return { message: `Reference ${shown} is not known yet in the ${use.field} of ${use.component}`, mend };
  }
  const secrets: Partial<Record<string, readonly string[]>> = secretReferences;
  if (use.field === "command" && secrets[kind]?.includes(reference.field) === true) {
    const mend = "Give it in env; command lines are readable by every process of the machine.";
    return { message: `Secret ${shown} stands in the command of ${use.component}`, mend };
  }
  if (kind === "self" && use.kind !== undefined) {
    if (use.kind !== "service")
      return { message: `Reference ${shown} stands in a job`, mend: "Use it in services only." };
    if (reference.field === "port" && !use.listens) {
      return {
        message: `Service ${use.component} has no port for ${shown}`,
        mend: `Add port: auto to ${use.component}.`,
      };
    }
  }
  return undefined;
}

function targetFault(reference: Reference, target: Target, use: Use): Fault | undefined {
  const shown = `\${${reference.of}.${reference.field}}`;
  if (target.stage > use.stage) {
    const mend = `Move ${reference.of} to an earlier stage, or ${use.component} to a later one.`;
    return { message: `Reference ${shown} points to a later stage`, mend };
  }
  if (target.kind === "service" && !target.listens) {
    return {
      message: `Service ${reference.of} in ${shown} does not listen`,
      mend: `Add port: auto to ${reference.of}.`,
    };
  }
  if (reference.field === "migrationUrl" && use.kind === "service") {
    const mend = `Use \${${reference.of}.url}; the owner's URL is for jobs only, or the service could drop every fence.`;
    return { message: `Service ${use.component} uses the owner's ${shown}`, mend };
  }
  return undefined;
}
