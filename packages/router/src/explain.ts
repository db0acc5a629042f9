import type { DirectoryView } from "@stampyard/directory";
import { type Carrier, carriersOf, decide, type RequestFacts, type Rule } from "./decide.ts";
import { parseHost } from "./host.ts";
import { type RefusalReason, refusals } from "./refusals.ts";

/** Why a request would go where it goes; made by the same functions that route. */
export interface Explanation {
  readonly host?: string;
  readonly path?: string;
  /** Every place that names a tenant, in the order of the rules. */
  readonly carriers: readonly Carrier[];
  readonly rule?: Rule;
  readonly tenant?: string;
  readonly stamp?: string;
  readonly epoch?: number;
  readonly endpoints?: readonly string[];
  /** Path that the stamp gets. */
  readonly forwardedPath?: string;
  readonly outcome: "forward" | "refuse";
  readonly reason?: RefusalReason;
  readonly status?: number;
  readonly directoryVersion: number;
}

export interface Question {
  /** e.g. `http://acme.localhost:8080/notes?x=1`. */
  readonly url: string;
  /** `name: value`, any number of them. */
  readonly headers: readonly string[];
  /** Whether the request comes from a trusted peer. */
  readonly peerTrusted: boolean;
}

export interface Known {
  readonly directory: DirectoryView | undefined;
  readonly version: number;
  readonly hasKey: (stamp: string) => boolean;
}

export function explain({ directory, version, hasKey }: Known, question: Question): Explanation {
  const nothing = { carriers: [], outcome: "refuse", directoryVersion: version } as const;
  const parts = /^https?:\/\/([^/?#]*)([^?#]*)/i.exec(question.url);
  if (parts === null) return refused(nothing, "bad-target");
  const fields = question.headers.map((line) => {
    const colon = line.indexOf(":");
    return { name: line.slice(0, colon).trim().toLowerCase(), value: line.slice(colon + 1).trim() };
  });
  const host = parseHost(fields.find(({ name }) => name === "host")?.value ?? parts[1] ?? "");
  if (host === undefined) return refused(nothing, "bad-host");
  const path = parts[2] === "" || parts[2] === undefined ? "/" : parts[2];
  const about = { ...nothing, host: host.name, path };
  if (directory === undefined) return refused(about, "not-ready");

  const carrier = directory.routing().header?.name.toLowerCase();
  const header = carrier === undefined ? undefined : fields.find(({ name }) => name === carrier)?.value;
  const facts: RequestFacts = { host: host.name, path, header, peerTrusted: question.peerTrusted };
  const carriers = carriersOf(directory, facts);
  const decision = decide(directory, facts);
  const { rule, tenant, stamp, epoch } = decision;
  const endpoints = stamp === undefined ? undefined : (directory.lookupStamp(stamp)?.endpoints ?? []);
  const known = {
    ...about,
    carriers: typeof carriers === "string" ? [] : carriers,
    ...(rule === undefined ? {} : { rule }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(stamp === undefined ? {} : { stamp }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(endpoints === undefined ? {} : { endpoints: endpoints.map((one) => `${one.host}:${one.port}`) }),
  };
  if (decision.kind === "refuse") return refused(known, decision.reason);
  if (!hasKey(decision.stamp)) return refused(known, "no-route-key");
  return { ...known, outcome: "forward", forwardedPath: decision.path };
}

function refused(known: Omit<Explanation, "reason" | "status">, reason: RefusalReason): Explanation {
  return { ...known, outcome: "refuse", reason, status: refusals[reason].status };
}
