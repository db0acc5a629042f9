import { expect, test } from "vitest";
import { csvOf, reportText } from "./report.ts";

const row = { tenant: "acme", tier: "standard", phase: "active", residency: ["eu", "ch"], allowed: ["eu"] };

test("csvOf() quotes what needs it, and no cell is a formula", () => {
  const rows = [
    { ...row, rule: "eu-data", stamp: "s-1", region: "us", violation: 'may live only in "eu", not in us' },
    { ...row, tier: "=cmd()", residency: [], allowed: [] },
  ];
  expect(csvOf(rows)).toBe(
    "tenant,tier,phase,stamp,region,residency,allowed,rule,violation\r\n" +
      'acme,standard,active,s-1,us,eu ch,eu,eu-data,"may live only in ""eu"", not in us"\r\n' +
      "acme,'=cmd(),active,,,,,,\r\n",
  );
});

test("reportText() counts by region and rule, and lists every violation", () => {
  const text = reportText([
    { ...row, rule: "eu-data", stamp: "s-1", region: "us", violation: "may live only in eu, not in us" },
    { ...row, tenant: "beta", stamp: "s-2", region: "eu" },
    { ...row, tenant: "gamma", residency: [] },
    { ...row, tenant: "delta", residency: [], stamp: "s-9" },
  ]);
  for (const line of [
    /^eu\s+its own wish\s+1\s+0$/m,
    /^us\s+eu-data\s+1\s+1$/m,
    /^no home yet\s+none\s+1\s+0$/m,
    /^home is gone\s+none\s+1\s+0$/m,
    /^acme\s+s-1\s+us\s+it may live only in eu, not in us$/m,
  ]) {
    expect(text).toMatch(line);
  }
});
