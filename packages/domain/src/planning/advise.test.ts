import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StampyardError } from "../errors.ts";
import { advise } from "./advise.ts";
import { type AdviceInput, adviceQuestions } from "./advice-input.ts";

const young: AdviceInput = {
  tenants: 40,
  load: 0.2,
  growthPerMonth: 0.03,
  monthlyCost: 900,
  team: 4,
  outageHourCost: 50,
};
const strained: AdviceInput = {
  tenants: 4_000,
  load: 0.8,
  canGrow: 1.5,
  growthPerMonth: 0.06,
  monthlyCost: 20_000,
  team: 25,
  incidentsPerYear: 12,
  incidentHours: 2,
  outageHourCost: 40_000,
  tenantKey: true,
};

describe("advise()", () => {
  test("tells a small team that stamps do not pay yet, and what to do instead", () => {
    const advice = advise(young);
    expect(advice.verdict).toBe("not-yet");
    expect(advice.because).toContain("more than they bring");
    expect(advice.instead.length).toBeGreaterThan(2);
    expect(advice.reasonsAgainst.join("\n")).toContain("cost 225 more per month");
    expect(advise({ ...young, currency: "CHF" }).reasonsAgainst.join("\n")).toContain("cost CHF 225 more per month");
  });

  test("tells a company at its ceiling to begin", () => {
    const advice = advise({ ...strained, growthPerMonth: 0.1 });
    expect(advice.verdict).toBe("yes");
    expect(advice.because).toContain("biggest machine is full");
  });

  test("pays by itself where outages are dear", () => {
    const advice = advise({ ...strained, canGrow: 20 });
    expect(advice).toMatchObject({ verdict: "yes" });
    expect(advice.because).toContain("more than they cost");
    expect(advise({ ...strained, canGrow: 20, outageHourCost: 10 }).verdict).toBe("not-yet");
    expect(advise({ ...strained, canGrow: 20, team: 0.5 }).verdict).toBe("not-yet");
  });

  test("one more region that is demanded decides alone; so little as five tenants do not", () => {
    expect(advise({ ...young, residencyRegions: 1 }).verdict).toBe("yes");
    expect(advise({ ...young, dedicatedDemands: 2 }).verdict).toBe("for-some");
    expect(advise({ ...strained, tenants: 5 })).toMatchObject({ verdict: "not-yet" });
    expect(advise({ ...young, canGrow: 1.2, growthPerMonth: 0.1 }).verdict).toBe("prepare");
  });

  test("reckons as it says", () => {
    const { figures } = advise({ ...strained, stamps: 4, stampCost: 6_000 });
    const value = (key: string) => figures.find((figure) => figure.key === key)?.value ?? Number.NaN;
    expect(value("affected")).toBeCloseTo(0.2 + 0.8 / 4, 9);
    expect(value("costStamps")).toBe(24_000);
    expect(value("tenantHoursNow")).toBe(12 * 2 * 4_000);
    expect(value("tenantHoursStamps")).toBeCloseTo(96_000 * 0.4, 6);
    expect(value("runway")).toBeCloseTo(Math.log(1 / 0.8) / Math.log(1.06), 9);
    expect(value("saved")).toBeCloseTo((24 * 40_000 * 0.6) / 12, 6);
    const hours = 6 + 1.5 * 4 + 3 * 4.33 * 0.25;
    expect(value("hoursPerMonth")).toBeCloseTo(hours, 9);
    expect(value("net")).toBeCloseTo(48_000 - 4_000 - (hours + 160 / 24) * 80, 6);
  });

  test("names every assumption as one, makes up no money, and has no infinite number", () => {
    const advice = advise({ tenants: 100, growthPerMonth: 0 });
    expect(advice.inputs.find((row) => row.key === "tenants")).toMatchObject({ value: 100, from: "given" });
    expect(advice.inputs.filter((row) => row.from === "assumed").length).toBeGreaterThan(8);
    expect(advice.figures.some((figure) => figure.key === "net" || figure.key === "saved")).toBe(false);
    expect(advice.missing).toContain("What one hour of an outage for everybody costs");
    expect(JSON.stringify(advice)).not.toContain("null");
  });

  test("refuses every answer out of its range at once", () => {
    expect(() => advise({} as AdviceInput)).toThrow(StampyardError);
    try {
      advise({ tenants: 1.5, load: -1, team: Number.NaN });
    } catch (error) {
      expect(error instanceof StampyardError && error.problems).toHaveLength(3);
    }
  });

  test("answers whatever it is told within the ranges, with a formula for every number", () => {
    const shape = Object.fromEntries(
      adviceQuestions.map(({ key, min, max, isWhole }) => {
        const number =
          isWhole === true ? fc.integer({ min, max }) : fc.double({ min, max, noNaN: true, noDefaultInfinity: true });
        return [key, key === "tenants" ? number : fc.option(number, { nil: undefined })];
      }),
    );
    fc.assert(
      fc.property(fc.record(shape), (answers) => {
        const given = Object.fromEntries(Object.entries(answers).filter(([, value]) => value !== undefined));
        const advice = advise(given as unknown as AdviceInput);
        expect(advice.because).not.toMatch(/NaN|Infinity|undefined/);
        for (const line of [...advice.reasonsFor, ...advice.reasonsAgainst, ...advice.instead.map((row) => row.why)]) {
          expect(line).not.toMatch(/NaN|Infinity|undefined/);
        }
        for (const figure of advice.figures) expect(figure.how).not.toBe("");
      }),
    );
  });
});
