import { isHostname } from "@stampyard/domain";
import { z } from "zod";
import { peerFault } from "./addresses.ts";
import { fields, flag, listOf, mapOf, name, namePattern, rule, whole, words } from "./field.ts";

const domain = words("a lower-case domain such as notes.example.com or localhost", /^[a-z0-9.-]+$/, 253)
  .refine((text) => isRoutable(text), {
    error: "a lower-case domain such as notes.example.com or localhost",
    params: { expects: "a lower-case domain such as notes.example.com or localhost" },
  })
  .describe("Tenants are subdomains of it");

/** Headers whose meaning is taken; none of them can carry a tenant. */
const takenHeaders = new Set(
  (
    "host authorization cookie connection content-length content-type expect forwarded keep-alive origin proxy-authorization " +
    "te trailer transfer-encoding upgrade via x-forwarded-for x-forwarded-host x-forwarded-proto"
  ).split(" "),
);

const peer = z
  .string({ error: "an address or CIDR block such as 10.0.0.0/8" })
  .max(64, { error: "an address or CIDR block such as 10.0.0.0/8" })
  .superRefine((text, context) => {
    const fault = peerFault(text);
    const issue = (message: string, mend: string) => context.addIssue({ code: "custom", message, params: { mend } });
    if (fault === "malformed")
      issue("Trusted peer is no address", "Write an address or CIDR block such as 10.0.0.0/8.");
    if (fault === "host-bits")
      issue("CIDR block has address bits behind its prefix", "Zero them, or write the address without /.");
    if (fault === "everybody") {
      issue("Trusted peers would be everybody, who could then name any tenant", "Name your proxies' addresses.");
    }
  })
  .describe("Address or CIDR block");

const trustedPeers = listOf(peer, "a list of addresses or CIDR blocks", 1, 100);

const headerName = words("a header name such as x-tenant", /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 64).refine(
  (text) => !text.toLowerCase().startsWith("stampyard-") && !takenHeaders.has(text.toLowerCase()),
  rule("Header name is taken", "Choose a name of your own such as x-tenant; stampyard-* and standard ones are taken."),
);

const hostPattern = words(
  "a host such as www.example.com or '{tenant}.example.com'",
  /^(?:\{tenant\}\.)?[a-z0-9.-]+$/,
  262,
).refine((text) => isRoutable(text.replace(/^\{tenant\}\./, "")), {
  error: "a host such as www.example.com or '{tenant}.example.com'",
  params: { expects: "a host such as www.example.com or '{tenant}.example.com'" },
});

/** One rule of the long form; which fields belong together is checked with the others (routing-checks.ts). */
const ruleFields = fields("a map with host, hostnames, path or header", {
  host: hostPattern
    .optional()
    .describe("'{tenant}.example.com' names the tenant; a host without {tenant} is of no tenant and goes by geography"),
  hostnames: z.literal(true, { error: "the word true" }).optional().describe("The tenants' own hostnames"),
  path: words("a path such as /t/{tenant}", /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+\/\{tenant\}$/, 137)
    .optional()
    .describe("/t/{tenant} names the tenant in the path"),
  strip: flag().optional().describe("With path: remove prefix and tenant before forwarding. Default false"),
  header: headerName.optional().describe("Header that names the tenant, or that carries an alias of it"),
  trustedPeers: trustedPeers.optional().describe("With header: only these may send it, your own proxies"),
  alias: name("kind of alias").optional().describe("With header: its value begins with an alias of this kind"),
  until: words("one sign such as .", /^[!-/:-@[-`{-~]$/, 1)
    .optional()
    .describe("With alias: the sign that ends the alias; what follows is never looked at"),
});

const limitFields = {
  requestsPerSecond: number(0.01, 1_000_000).optional().describe("Requests per second of one tenant"),
  burst: number(1, 1_000_000)
    .optional()
    .describe("Requests that may come at once after a quiet time. Default twice requestsPerSecond"),
  concurrency: whole(1, 1_000_000).optional().describe("Requests of one tenant on their way at the same time"),
};

const geography = fields("a map with country, pool and regions", {
  country: fields("a map with header and trustedPeers", {
    header: headerName.describe("Header with the client's country, ISO 3166-1 alpha-2"),
    trustedPeers: trustedPeers.describe("Only these are believed about it: your own proxies"),
  }).describe("How a request tells its country"),
  pool: name("pool").describe("Stamps of this pool answer requests without a tenant"),
  regions: mapOf(
    words("a region name", namePattern, 40),
    listOf(words("a country code such as DE", /^[A-Z]{2}$/, 2), "a list of country codes", 1, 300).describe(
      "Countries",
    ),
    "a map of region names and countries",
  ).describe("Countries of each region"),
  default: name("region").optional().describe("Region for other countries; without it they are answered 404"),
});

export const routing = fields("a map with domains, path and header, or rules", {
  domains: listOf(domain, "a list of domains", 0, 100).optional().describe("{tenant}.<domain> names the tenant"),
  path: fields("a map with prefix and strip", {
    prefix: words(
      "a path prefix such as /t, without slash at its end",
      /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/,
      128,
    ).describe("/t makes /t/{tenant}/… name the tenant"),
    strip: flag().optional().describe("Remove prefix and tenant before forwarding. Default false"),
  })
    .optional()
    .describe("Tenant by path"),
  header: fields("a map with name and trustedPeers", {
    name: headerName.describe("Header that names the tenant"),
    trustedPeers: trustedPeers.describe("Only these may send the header: your own proxies"),
  })
    .optional()
    .describe("Tenant by header, from trusted peers only"),
  rules: listOf(ruleFields.describe("One rule"), "a list of rules", 1, 100)
    .optional()
    .describe("Instead of domains, path and header: rules in an order of your own, the first that matches decides"),
  geography: geography.optional().describe("Where requests go that belong to no tenant, for hosts without {tenant}"),
  limits: fields("a map of limits", {
    ...limitFields,
    pools: mapOf(
      words("a pool name", namePattern, 36),
      fields("a map of limits", limitFields).describe("Limits of its tenants"),
      "a map of pool names and limits",
    )
      .optional()
      .describe("Other limits for tenants of these pools"),
    tiers: mapOf(
      name("tier"),
      fields("a map of limits", limitFields).describe("Limits of its tenants"),
      "a map of tier names and limits",
    )
      .optional()
      .describe("Other limits for tenants of these tiers, whatever their pool"),
  })
    .optional()
    .describe("What one tenant may take of one router process; more is answered 429"),
});

function number(min: number, max: number) {
  const expects = `a number from ${min} to ${max}`;
  return z.number({ error: expects }).min(min, { error: expects }).max(max, { error: expects });
}

function isRoutable(text: string): boolean {
  return text === "localhost" || isHostname(text);
}
