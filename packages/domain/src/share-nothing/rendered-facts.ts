import { componentsOf, type Parameters, type RenderedStamp } from "../rendered.ts";
import type { Component, Text } from "../template.ts";
import { type Address, addressesIn, reference } from "./addresses.ts";
import type { Fingerprint, ResourceFact } from "./facts.ts";

/** A rendered stamp with what it was rendered from. */
export interface RenderedInput {
  readonly rendered: RenderedStamp;
  readonly parameters: Parameters;
  /** By name, as `secretNames` lists them. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Value of `${route.keys}`: `kid:secret,…`. */
  readonly routeKeys: string;
}

/** What a stamp will have and use, by its own description. Secrets leave this function as fingerprints only. */
export function factsOfRendering(input: RenderedInput, fingerprint: Fingerprint): readonly ResourceFact[] {
  const { rendered, parameters, secrets, routeKeys } = input;
  const declared = componentsOf(rendered).flatMap((component) => declaredFacts(component, fingerprint));
  const known = new Set(declared.map((fact) => `${fact.kind} ${fact.identity}`));
  const spelled = [
    ...componentsOf(rendered).flatMap((component) => spelledFacts(component, fingerprint)),
    ...Object.entries(parameters).flatMap(([name, value]) =>
      addressFacts(name, String(value), `parameter ${name}`, "undeclared", fingerprint),
    ),
  ];
  // What an external component declares is declared, wherever else it is spelled.
  const undeclared = spelled.filter((fact) => !known.has(`${fact.kind} ${fact.identity}`));
  return [...declared, ...undeclared, ...secretFacts(secrets, routeKeys, fingerprint)];
}

function declaredFacts(component: Component, fingerprint: Fingerprint): readonly ResourceFact[] {
  if (component.kind !== "external") return [];
  const where = `external component ${component.name}`;
  return addressFacts(component.name, textOf(component.url), where, "declared", fingerprint);
}

function spelledFacts(component: Component, fingerprint: Fingerprint): readonly ResourceFact[] {
  if (component.kind !== "service" && component.kind !== "job") return [];
  const { name } = component;
  const env = Object.entries(component.env).flatMap(([variable, text]) =>
    addressFacts(variable, textOf(text), `env ${variable} of ${name}`, "undeclared", fingerprint),
  );
  const words = (component.command ?? []).flatMap((text) =>
    addressFacts("", textOf(text), `command of ${name}`, "undeclared", fingerprint),
  );
  return [...env, ...words];
}

/** What the addresses in one text say; `where` is for people. A password in them leaves as a fingerprint only. */
export function addressFacts(
  name: string,
  text: string,
  where: string,
  relation: ResourceFact["relation"],
  fingerprint: Fingerprint,
): readonly ResourceFact[] {
  return addressesIn(name, text).flatMap((address) => [
    { kind: address.kind, identity: address.identity, shown: address.shown, where, relation },
    ...passwordFact(address, where, relation, fingerprint),
  ]);
}

function passwordFact(
  { password, shown }: Address,
  where: string,
  relation: ResourceFact["relation"],
  fingerprint: Fingerprint,
): readonly ResourceFact[] {
  if (password === undefined || password === "") return [];
  return [{ kind: "credential", identity: fingerprint(password), shown: `password for ${shown}`, where, relation }];
}

function secretFacts(
  secrets: Readonly<Record<string, string>>,
  routeKeys: string,
  fingerprint: Fingerprint,
): readonly ResourceFact[] {
  const own = Object.entries(secrets).map(([name, secret]) => credential(name, `secret ${name}`, secret, fingerprint));
  const keys = routeKeys.split(",").filter((entry) => entry.includes(":"));
  return [
    ...own,
    ...keys.map((entry) => credential("route key", "route keys", entry.slice(entry.indexOf(":") + 1), fingerprint)),
  ];
}

function credential(shown: string, where: string, secret: string, fingerprint: Fingerprint): ResourceFact {
  return { kind: "credential", identity: fingerprint(secret), shown, where, relation: "own" };
}

function textOf(text: Text): string {
  return text.map((part) => (typeof part === "string" ? part : reference)).join("");
}
