import {
  type Component,
  type Digest,
  digestOf,
  type Json,
  type Parameters,
  quote,
  type Reference,
  type RenderedStamp,
  type Sha256,
  type StampIdentity,
  StampyardError,
  type Template,
  type Text,
} from "@stampyard/domain";
import { parameterFaults } from "./parameters.ts";
import { joinText } from "./text.ts";

/**
 * Digest of the canonical template, references unresolved (decision D3), and of the files that its commands run from,
 * where it runs any: what a release *is*.
 */
export function releaseDigest(template: Template, sha256: Sha256, content?: Digest): Digest {
  return digestOf((content === undefined ? template : { template, content }) as unknown as Json, sha256);
}

/**
 * Template + identity + parameters → rendered stamp, the same on every machine. Resolves `stamp`, `params` and
 * `release`; what only the engine knows (`${db.url}`, `${route.keys}`, `${self.port}`) stays a reference.
 * @throws StampyardError INVALID_MANIFEST naming every missing, unknown or mistyped parameter
 */
export function renderStamp(
  template: Template,
  identity: StampIdentity,
  parameters: Parameters,
  sha256: Sha256,
  content?: Digest,
): RenderedStamp {
  const faults = parameterFaults(template, parameters);
  if (faults.length > 0) {
    const message = `Cannot render stamp ${quote(identity.name)}: ${faults.map((fault) => fault.message).join("; ")}`;
    throw new StampyardError("INVALID_MANIFEST", message, {
      mend: faults.map((fault) => fault.mend).join(" "),
      problems: faults.map((fault) => ({
        message: fault.message,
        mend: fault.mend,
        path: `parameters.${fault.parameter}`,
      })),
    });
  }
  const release = releaseDigest(template, sha256, content);
  const values = valuesOf(template, identity, parameters, release);
  const stamp: Omit<RenderedStamp, "stampDigest"> = {
    identity: { name: identity.name, pool: identity.pool, region: identity.region },
    template: template.name,
    version: template.version,
    releaseDigest: release,
    stages: template.stages.map((stage) => ({
      ...stage,
      components: stage.components.map((component) => resolveComponent(component, values)),
    })),
    ingress: template.ingress,
    capacity: template.capacity,
    tenancy: template.tenancy,
    hooks: template.hooks,
  };
  return { ...stamp, stampDigest: digestOf(stamp as unknown as Json, sha256) };
}

type Values = ReadonlyMap<string, string>;

function valuesOf(template: Template, identity: StampIdentity, parameters: Parameters, release: Digest): Values {
  const values = new Map<string, string>([
    ["stamp.name", identity.name],
    ["stamp.region", identity.region],
    ["stamp.pool", identity.pool],
    ["release.version", template.version],
    ["release.digest", release],
  ]);
  for (const [name, spec] of Object.entries(template.parameters)) {
    const value = Object.hasOwn(parameters, name) ? parameters[name] : spec.default;
    if (value !== undefined) values.set(`params.${name}`, String(value));
  }
  return values;
}

function resolveComponent(component: Component, values: Values): Component {
  switch (component.kind) {
    case "service":
    case "job": {
      const { command, image } = component;
      return {
        ...component,
        ...(command === undefined ? {} : { command: command.map((text) => resolveText(text, values)) }),
        ...(image === undefined ? {} : { image: resolveText(image, values) }),
        env: Object.fromEntries(Object.entries(component.env).map(([name, text]) => [name, resolveText(text, values)])),
      };
    }
    case "external":
      return { ...component, url: resolveText(component.url, values) };
    default:
      return component;
  }
}

/** A value is never parsed again: `${` inside a parameter is just these two characters. */
function resolveText(text: Text, values: Values): Text {
  return joinText(text.map((part) => (typeof part === "string" ? part : (values.get(keyOf(part)) ?? part))));
}

function keyOf(reference: Reference): string {
  return `${reference.of}.${reference.field}`;
}
