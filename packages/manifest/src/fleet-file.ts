import { isHostname } from "@stampyard/domain";
import { z } from "zod";
import { peerFault } from "./addresses.ts";
import { apiVersion, fields, flag, listOf, mapOf, name, nameRule, oneOf, rule, whole, words } from "./field.ts";
import { metadata, parameterName, scalar, units } from "./template-file.ts";

/** Stamps of a pool are called `<pool>-<n>`, which must be a name too. */
const poolName = words(
  `a pool name of ${nameRule}; at most 36, because stamps add a number`,
  /^[a-z](?:-?[a-z0-9])*$/,
  36,
);

const stamps = fields("a map with min and max", {
  min: whole(0, 100).describe("Stamps that are always there"),
  max: whole(1, 100).describe("Stamps that there may be"),
}).refine((range) => range.min <= range.max, rule("Field min is above max", "Raise max, or lower min to at most max."));

const catchAll = fields("a map with stamp and until", {
  stamp: name("stamp").describe("Stamp that takes what no tenant claims"),
  until: words("a date such as 2027-03-31", /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/, 10)
    .refine(isCalendarDay, { error: "a date such as 2027-03-31", params: { expects: "a date such as 2027-03-31" } })
    .describe("Last day of it, UTC"),
});

const pool = fields("a map of pool fields", {
  tenancy: oneOf(["shared", "dedicated"]).optional().describe("Many tenants per stamp, or one. Default shared"),
  regions: listOf(name("region"), "a list of region names", 1, 100).describe("New stamps take these in turn"),
  stamps: stamps.describe("How many stamps"),
  capacity: fields("a map with tenants and units", {
    tenants: whole(1, 1_000_000).optional().describe("Most tenants of one stamp"),
    units: units.optional().describe("Other limits by name"),
  })
    .optional()
    .describe("Lowers what the template declares"),
  parameters: mapOf(parameterName, scalar, "a map of parameter names and values")
    .optional()
    .describe("Values for the template's parameters"),
  catchAll: catchAll.optional().describe("Stamp zero may take what no tenant claims, until a date"),
});

const domain = words("a lower-case domain such as notes.example.com or localhost", /^[a-z0-9.-]+$/, 253)
  .refine((text) => text === "localhost" || isHostname(text), {
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

const routing = fields("a map with domains, path and header", {
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
    name: words("a header name such as x-tenant", /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 64)
      .refine(
        (text) => !text.toLowerCase().startsWith("stampyard-") && !takenHeaders.has(text.toLowerCase()),
        rule(
          "Header name is taken",
          "Choose a name of your own such as x-tenant; stampyard-* and standard ones are taken.",
        ),
      )
      .describe("Header that names the tenant"),
    trustedPeers: listOf(peer, "a list of addresses or CIDR blocks", 1, 100).describe(
      "Only these may send the header: your own proxies",
    ),
  })
    .optional()
    .describe("Tenant by header, from trusted peers only"),
});

/** The shape of `fleet.yaml`. */
export const fleetFile = fields("a map of fields", {
  apiVersion: z.literal(apiVersion, { error: apiVersion }).describe("Version of this file's format"),
  kind: z.literal("Fleet", { error: "Fleet" }).describe("Kind of this file"),
  metadata: fields("a map with name", metadata).describe("What this fleet is called"),
  template: words("a path such as ./stamp.yaml", /^(?![A-Za-z][A-Za-z0-9+.-]*:)[^\0]*[^\0/]\.ya?ml$/, 1_024).describe(
    "The stamp template, relative to this file",
  ),
  pools: mapOf(poolName, pool.describe("One pool"), "a map of pool names and pools").describe(
    "Stamps that are placed alike, by pool name",
  ),
  routing: routing.describe("How a request names its tenant"),
});

export type FleetFile = z.infer<typeof fleetFile>;

function isCalendarDay(text: string): boolean {
  const [year = 0, month = 0, day = 0] = text.split("-").map(Number);
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  return days !== undefined && day >= 1 && day <= days;
}
