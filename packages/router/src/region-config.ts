import { isName, quote } from "@stampyard/domain";

export interface RegionConfig {
  /** Serves only tenants at home there, and connects to no stamp elsewhere. Absent = all regions. */
  readonly regions?: readonly string[];
  /** Where requests for other regions are sent; `{region}`, `{tenant}` and `{host}` are filled in. Absent = answer 421. */
  readonly redirect?: string;
}

type Complain = (path: string, message: string, mend: string) => void;

/** `STAMPYARD_ROUTER_REGIONS` (commas between) and `STAMPYARD_ROUTER_REDIRECT`. */
export function readRegionConfig(env: Readonly<Record<string, string | undefined>>, complain: Complain): RegionConfig {
  const regions = (env["STAMPYARD_ROUTER_REGIONS"] ?? "")
    .split(",")
    .map((region) => region.trim())
    .filter((region) => region !== "");
  for (const region of regions) {
    if (isName(region)) continue;
    complain("STAMPYARD_ROUTER_REGIONS", `${quote(region)} is not a region`, "Write regions like eu,us.");
  }
  const redirect = env["STAMPYARD_ROUTER_REDIRECT"] ?? "";
  if (redirect !== "" && !isRedirect(redirect)) {
    const mend = "Write it like https://{region}.example.com, without a path.";
    complain("STAMPYARD_ROUTER_REDIRECT", `${quote(redirect)} is not where requests can be sent`, mend);
  }
  if (redirect !== "" && regions.length === 0) {
    const mend = "Set STAMPYARD_ROUTER_REGIONS too, or leave the redirect out.";
    complain("STAMPYARD_ROUTER_REDIRECT", "A router of all regions sends nobody elsewhere", mend);
  }
  return { ...(regions.length === 0 ? {} : { regions }), ...(redirect === "" ? {} : { redirect }) };
}

/** An origin once its names are filled in: the path and query of the request follow it. */
function isRedirect(text: string): boolean {
  const filled = text.replace(/\{(?:region|tenant|host)\}/g, "a");
  return /^https?:\/\/[a-z0-9.-]+(?::[0-9]{1,5})?$/.test(filled) && URL.canParse(filled);
}
