import { expect, test } from "vitest";
import { overviewPage, prefersHtml } from "./page.ts";

test("prefersHtml() follows the weights, and a tie is JSON", () => {
  expect(prefersHtml("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")).toBe(true);
  expect(prefersHtml("application/json;q=0.5, Text/HTML;q=0.6")).toBe(true);
  for (const json of [undefined, "", "*/*", "application/json", "text/html;q=0", "text/html, application/json"]) {
    expect(prefersHtml(json)).toBe(false);
  }
});

test("overviewPage() escapes what tenants wrote", () => {
  const facts = { tenant: "acme", stamp: "eu-1", region: "eu", release: "1", epoch: 3, notes: 1, served_by: 7 };
  const at = "2026-01-01T00:00:00.000Z";
  const note = { id: "", notebook: "", author: "", body: "", tags: [], revision: 1, created_at: at, updated_at: at };
  const page = overviewPage(facts, [{ ...note, title: `<script>"&'` }]);
  expect(page).toContain("&lt;script&gt;&quot;&amp;&#39;");
  expect(page).not.toContain("<script");
});
