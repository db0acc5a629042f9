import { encodings, lengths } from "./families-body.ts";
import { chunks } from "./families-chunks.ts";
import { limits, order, pipelines } from "./families-exchange.ts";
import { fieldSyntax, hopByHop } from "./families-fields.ts";
import { hosts } from "./families-hosts.ts";
import { lineEnds, methods, targets, versions } from "./families-line.ts";
import { bentEncodings, bentLengths } from "./families-smuggling.ts";
import { expectations, upgrades } from "./families-upgrade.ts";
import type { Family, Payload } from "./verdict.ts";

/** The corpus. Each family bends one part of a request in all the ways that its grammar knows. */
export const families: Readonly<Record<string, Family>> = {
  versions,
  methods,
  targets,
  "line ends": lineEnds,
  hosts,
  fields: fieldSyntax,
  "hop by hop": hopByHop,
  lengths,
  encodings,
  chunks,
  upgrades,
  expectations,
  pipelines,
  limits,
  order,
  "bent encodings": bentEncodings,
  "bent lengths": bentLengths,
};

export interface CorpusPayload extends Payload {
  readonly family: string;
}

/** All payloads for one host; two families may come to the same bytes, which are then shot once. */
export function corpus(host: string): readonly CorpusPayload[] {
  const bytes = new Set<string>();
  const payloads: CorpusPayload[] = [];
  for (const [family, make] of Object.entries(families)) {
    for (const payload of make(host)) {
      const key = `${payload.bytes} ${payload.halfClose === true}`;
      if (bytes.has(key)) continue;
      bytes.add(key);
      payloads.push({ ...payload, family });
    }
  }
  return payloads;
}
