import {
  type Component,
  componentsOf,
  type Digest,
  digestOf,
  type JobComponent,
  type Json,
  makeSecret,
  type RenderedStamp,
  secretNames,
  type ServiceComponent,
  type Sha256,
  type StampSpec,
} from "@stampyard/domain";
import type { SeededRandom } from "./seeded-random.ts";

/** A listening service with a health path; `edit` changes what a test is about. */
export function serviceFixture(name: string, script: string, edit: Partial<ServiceComponent> = {}): ServiceComponent {
  return {
    kind: "service",
    name,
    command: [["node"], [script]],
    env: { NAME: [name] },
    resources: {},
    after: [],
    replicas: 1,
    listens: true,
    health: { path: "/healthz", timeoutMs: 1_000, startWithinMs: 10_000 },
    stopGraceMs: 2_000,
    ...edit,
  };
}

export function jobFixture(name: string, script: string, edit: Partial<JobComponent> = {}): JobComponent {
  return {
    kind: "job",
    name,
    command: [["node"], [script]],
    env: {},
    resources: {},
    after: [],
    timeoutMs: 10_000,
    run: "release",
    ...edit,
  };
}

export interface SpecFixture {
  readonly stamp: string;
  readonly components: readonly Component[];
  /** @default "api" */
  readonly ingress?: string;
  /** Directory of the services' scripts. */
  readonly sourceDir: string;
  readonly random: Pick<SeededRandom, "bytes">;
  readonly sha256: Sha256;
  /** Secrets of an earlier spec of the same stamp. */
  readonly secrets?: Readonly<Record<string, string>>;
}

/** A complete specification around some components, with digests that follow its content. */
export function specFixture(fixture: SpecFixture): StampSpec {
  const content = {
    identity: { name: fixture.stamp, pool: "shared", region: "local" },
    template: "fixture",
    version: "1.0.0",
    stages: [{ name: "main", engine: "local" as const, components: fixture.components }],
    ingress: { service: fixture.ingress ?? "api" },
    capacity: { tenants: 10, units: {} },
    tenancy: { model: "rows" as const, column: "tenant_id" },
    hooks: {},
  };
  const releaseDigest = digest({ ...content, identity: undefined }, fixture.sha256);
  const stampDigest = digest({ ...content, releaseDigest }, fixture.sha256);
  const rendered: RenderedStamp = { ...content, releaseDigest, stampDigest };
  const made = secretNames(rendered).map((name) => [name, makeSecret(fixture.random)]);
  const secrets = { ...Object.fromEntries(made), ...fixture.secrets };
  return { rendered, sourceDir: fixture.sourceDir, secrets, routeKeys: "k1:fixture-route-key-000000000000" };
}

/** The same stamp with one component replaced, added (new name) or removed (undefined). */
export function editSpec(
  spec: StampSpec,
  name: string,
  component: Component | undefined,
  tools: Pick<SpecFixture, "random" | "sha256">,
): StampSpec {
  const old = componentsOf(spec.rendered);
  const known = old.some((candidate) => candidate.name === name);
  const kept = old.flatMap((c) => (c.name !== name ? [c] : component === undefined ? [] : [component]));
  return specFixture({
    ...tools,
    stamp: spec.rendered.identity.name,
    components: known || component === undefined ? kept : [...kept, component],
    ingress: spec.rendered.ingress.service,
    sourceDir: spec.sourceDir,
    secrets: spec.secrets,
  });
}

function digest(value: object, sha256: Sha256): Digest {
  return digestOf(JSON.parse(JSON.stringify(value)) as Json, sha256);
}
