import { z } from "zod";
import { apiVersion, fields, listOf, mapOf, name, nameRule, oneOf, rule, whole, words } from "./field.ts";
import { freezes } from "./freeze-file.ts";
import { automation, growth, placement, residency, tierNames, tiers } from "./placement-file.ts";
import { prices } from "./prices-file.ts";
import { rollout } from "./rollout-file.ts";
import { routing } from "./routing-file.ts";
import { metadata, parameterName, scalar, units } from "./template-file.ts";

/** Stamps of a pool are called `<pool>-<n>`, which must be a name too. */
const poolName = words(
  `a pool name of ${nameRule}; at most 36, because stamps add a number`,
  /^[a-z](?:-?[a-z0-9])*$/,
  36,
);

const stamps = fields("a map with min and max", {
  min: whole(0, 10_000).describe("Stamps that are always there"),
  max: whole(1, 10_000).describe("Stamps that there may be"),
  spare: whole(0, 100).optional().describe("Empty stamps that are kept ready. Default 0"),
})
  .refine((range) => range.min <= range.max, rule("Field min is above max", "Raise max, or lower min to at most max."))
  .refine(
    (range) => (range.spare ?? 0) <= range.max,
    rule("Field spare is above max", "Raise max, or lower spare to at most max."),
  );

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
  tiers: tierNames.optional().describe("Tiers that may live here. Default any"),
  channel: name("channel").optional().describe("Release channel; a tenant that asks for another is not placed here"),
  ring: name("ring").optional().describe("Label by which a rollout's waves can name its stamps"),
  placement: placement.optional().describe("How tenants are spread over its stamps"),
  growth: growth.optional().describe("When the next stamp is built"),
  automation: automation.optional().describe("What the platform does by itself here, and what it proposes"),
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
  tiers: tiers.optional().describe("What a tenant weighs by its tier, unless it says otherwise"),
  residency: residency
    .optional()
    .describe("Where data may live, by rule name; enforced when tenants are created, placed, moved and adopted"),
  prices: prices.optional().describe("What a stamp costs, for plans and simulations: estimates of yours"),
  rollout: rollout.optional().describe("How releases go over the fleet, unless a rollout says otherwise"),
  freezes: freezes.optional().describe("When rollouts, moves, scaling or destroys stand still, by window name"),
});

export type FleetFile = z.infer<typeof fleetFile>;

function isCalendarDay(text: string): boolean {
  const [year = 0, month = 0, day = 0] = text.split("-").map(Number);
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  return days !== undefined && day >= 1 && day <= days;
}
