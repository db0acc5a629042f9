import { type Component, componentsOf, type Reference, StampyardError, type Text } from "@stampyard/domain";
import { join } from "node:path";
import type { Goal } from "../goal.ts";
import type { StampPlace } from "../places.ts";
import { databaseName, type RoleSecret, roleOfSecret } from "../postgres/roles.ts";
import { instanceKey, type InstanceRecord } from "./state.ts";

/** Where a component's socket is. */
export function socketDirOf(place: StampPlace, component: string): string {
  return join(place.socketDir, component);
}

/** Connection URL for one role, in the form that libpq and node-postgres both read. */
export function postgresUrl(
  place: StampPlace,
  secrets: Readonly<Record<string, string>>,
  component: string,
  secret: RoleSecret,
  database: string = databaseName,
): string {
  const password = encodeURIComponent(secretOf(secrets, `${component}.${secret}`));
  const host = encodeURI(socketDirOf(place, component));
  return `postgresql://${roleOfSecret[secret]}:${password}@localhost/${database}?host=${host}`;
}

export function secretOf(secrets: Readonly<Record<string, string>>, name: string): string {
  const value = secrets[name];
  if (value === undefined || value === "") {
    throw new StampyardError("INVALID_REQUEST", `The specification holds no secret ${name}`);
  }
  return value;
}

export interface Values {
  readonly goal: Goal;
  readonly place: StampPlace;
  readonly instances: Readonly<Record<string, InstanceRecord>>;
}

export interface Self {
  readonly port: string;
  readonly replica: number;
}

/** A text with every reference replaced by its value. */
export function fillText(text: Text, values: Values, self: Self): string {
  return text.map((part) => (typeof part === "string" ? part : referred(part, values, self))).join("");
}

function referred(reference: Reference, values: Values, self: Self): string {
  const { of, field } = reference;
  if (of === "self" && field === "port") return self.port;
  if (of === "self" && field === "replica") return String(self.replica);
  if (of === "route" && field === "keys") return values.goal.routeKeys;
  const component = componentsOf(values.goal.rendered).find((candidate) => candidate.name === of);
  const value = component === undefined ? undefined : fieldOf(component, field, values);
  if (value !== undefined) return value;
  throw new StampyardError("INVALID_MANIFEST", `Nothing is known as \${${of}.${field}}`, {
    mend: "See the table of references in docs/reference/template.md.",
  });
}

function fieldOf(component: Component, field: string, values: Values): string | undefined {
  const { goal, place } = values;
  const { name } = component;
  switch (component.kind) {
    case "postgres":
      if (field === "url") return postgresUrl(place, goal.secrets, name, "appPassword");
      if (field === "migrationUrl") return postgresUrl(place, goal.secrets, name, "ownerPassword");
      return undefined;
    case "redis": {
      if (field !== "url") return undefined;
      const socket = encodeURI(join(socketDirOf(place, name), "redis.sock"));
      return `unix://${socket}?password=${encodeURIComponent(secretOf(goal.secrets, `${name}.password`))}`;
    }
    case "nats": {
      if (field !== "url") return undefined;
      const password = encodeURIComponent(secretOf(goal.secrets, `${name}.password`));
      return `nats://stampyard:${password}@127.0.0.1:${portOf(values, name)}`;
    }
    case "service":
      return field === "url" ? `http://127.0.0.1:${portOf(values, name)}` : undefined;
    case "external":
      if (field === "url") return fillText(component.url, values, { port: "", replica: 0 });
      return field === "secret" ? goal.externalSecrets[name] : undefined;
    case "job":
      return undefined;
  }
}

function portOf(values: Values, component: string): number {
  const record = values.instances[instanceKey(component, 0)];
  const port = record?.current?.port;
  if (port !== undefined) return port;
  throw new StampyardError("STAMP_FAILED", `The address of ${component} is not known yet`);
}
