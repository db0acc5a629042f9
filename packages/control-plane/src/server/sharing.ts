import { createHmac } from "node:crypto";
import {
  addressFacts,
  adoptedDatabaseSecret,
  factsOfRendering,
  type Fingerprint,
  findSharing,
  type ResourceFact,
  type SharingReport,
  type Stamp,
  type StampFacts,
  StampyardError,
} from "@stampyard/domain";
import type { ServerDeps } from "./deps.ts";

type Deps = Pick<ServerDeps, "store" | "engine" | "specOf" | "random">;

/** Stamps that are looked at together; a look costs a few files and one decryption per secret. */
const atATime = 8;

/**
 * Compares all stamps by what they are described to be and by what they really have. Secrets are compared by a hash under a
 * key that this call alone knows, so that no report of it helps to guess one.
 */
export async function checkSharing(deps: Deps, signal: AbortSignal): Promise<SharingReport> {
  const key = deps.random.bytes(32);
  const fingerprint: Fingerprint = (secret) => createHmac("sha256", key).update(secret).digest("base64");
  const stamps = (await deps.store.stamps.all()).map((row) => row.value).filter((stamp) => stamp.state.kind !== "gone");
  const found: StampFacts[] = [];
  for (let from = 0; from < stamps.length; from += atATime) {
    signal.throwIfAborted();
    found.push(
      ...(await Promise.all(stamps.slice(from, from + atATime).map((one) => look(deps, one, fingerprint, signal)))),
    );
  }
  return findSharing(found);
}

/** Whatever cannot be looked at is told, and hides nothing of the rest. */
async function look(deps: Deps, stamp: Stamp, fingerprint: Fingerprint, signal: AbortSignal): Promise<StampFacts> {
  const unseen: string[] = [];
  const attempt = async (what: string, work: () => Promise<readonly ResourceFact[]>) => {
    try {
      return await work();
    } catch (caught) {
      if (signal.aborted) throw caught;
      unseen.push(`${what}: ${StampyardError.from(caught).message}`);
      return [];
    }
  };
  const rendered = await attempt("its description", async () => {
    if (stamp.origin === "adopted") return await adoptedFacts(deps, stamp, fingerprint);
    return factsOfRendering({ ...(await deps.specOf(stamp)), parameters: stamp.parameters }, fingerprint);
  });
  const observed = await attempt("its machine", async () => {
    if (stamp.origin === "adopted") return [];
    const facts = (await deps.engine.facts?.(stamp.name, signal)) ?? [];
    return facts.map(({ component, ...fact }) => ({ ...fact, where: component, relation: "own" as const }));
  });
  if (stamp.origin === "adopted") unseen.push("it was adopted: only its endpoints and its database URL are known");
  const endpoints = stamp.endpoints.map(({ host, port }): ResourceFact => {
    const shown = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    return { kind: "endpoint", identity: shown, shown, where: "its endpoints", relation: "own" };
  });
  return { stamp: stamp.name, facts: [...rendered, ...observed, ...endpoints], unseen };
}

/** Of an adopted stamp the platform knows what it was told: perhaps where its database is. */
async function adoptedFacts(
  { store }: Deps,
  { name }: Stamp,
  fingerprint: Fingerprint,
): Promise<readonly ResourceFact[]> {
  const url = (await store.stamps.secrets(name))[adoptedDatabaseSecret];
  return url === undefined ? [] : addressFacts("", url, "its database URL", "own", fingerprint);
}
