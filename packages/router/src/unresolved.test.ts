import { describe, expect, test } from "vitest";
import { createUnresolvedTable, pathTemplate } from "./unresolved.ts";

test.each([
  ["/", "/"],
  ["/orders/4711", "/orders/{n}"],
  ["/u/9f86d081884c7d65/x", "/u/{id}/x"],
  ["/u/123e4567-e89b-12d3-a456-426614174000", "/u/{id}"],
  ["/a/b/c/d/e", "/a/b/c/d/…"],
  [`/${"x".repeat(33)}`, "/{id}"],
  ["/feedbackform", "/feedbackform"],
])("pathTemplate(%s) is %s", (path, template) => {
  expect(pathTemplate(path)).toBe(template);
});

describe("createUnresolvedTable()", () => {
  test("counts hosts and templates apart, most frequent first", () => {
    const table = createUnresolvedTable();
    table.count("a.io", "/x/1", "no-tenant", 1);
    table.count("b.io", "/x/1", "unknown-tenant", 2);
    table.count("b.io", "/x/2", "unknown-tenant", 3);
    expect(table.rows()).toEqual([
      { host: "b.io", path: "/x/{n}", reason: "unknown-tenant", count: 2, mayBeLess: 0, lastAt: 3 },
      { host: "a.io", path: "/x/{n}", reason: "no-tenant", count: 1, mayBeLess: 0, lastAt: 1 },
    ]);
  });

  test("stays within its rows, keeps what is frequent, and says how far counts may be off (I13)", () => {
    const table = createUnresolvedTable(10);
    for (let n = 0; n < 1_000; n++) {
      if (n % 4 === 0) table.count("often.io", "/", "no-tenant", n);
      else table.count(`host-${n}.io`, "/", "no-tenant", n);
    }
    const rows = table.rows();
    expect(rows).toHaveLength(10);
    const often = rows.find(({ host }) => host === "often.io");
    expect(often?.count).toBeGreaterThanOrEqual(250);
    for (const { count, mayBeLess } of rows) expect(mayBeLess).toBeLessThan(count);
  });
});
