import { expect, test } from "vitest";
import { parseTemplate } from "./template.ts";
import { badFile, goodTemplate as good, type Row } from "./testing/bad-file.ts";

const end = "column: tenant_id }\n";
const verify = (text: string) => `${end}verify:\n  - ${text}\n`;

test("parseTemplate() reads the requests of verify, with their references and defaults", () => {
  const text = good.replace(
    end,
    () =>
      `${end}verify:
  - { method: POST, path: /notes, headers: { Accept: text/html }, json: { b: "of \${tenant.key}", a: ["\${verify.id}", 1, "$\${"] }, status: 201 }
  - { path: "/notes/\${verify.id}", text: "of \${tenant.key}", timeout: 500ms }
`,
  );
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const key = { of: "tenant", field: "key" };
  const id = { of: "verify", field: "id" };
  expect(parsed.template.verify).toEqual([
    {
      method: "POST",
      path: ["/notes"],
      headers: { accept: ["text/html"] },
      // Keys sorted, so that the order of a file never shows in a digest.
      body: ['{"a":["', id, '",1,"${"],"b":"of ', key, '"}'],
      status: 201,
      timeoutMs: 5_000,
    },
    { method: "GET", path: ["/notes/", id], headers: {}, text: ["of ", key], timeoutMs: 500 },
  ]);
});

test("parseTemplate() leaves a template without verify as it was", () => {
  const parsed = parseTemplate(good, { file: "stamp.yaml" });
  expect(parsed.ok && "verify" in parsed.template).toBe(false);
});

const rows: readonly Row[] = [
  [
    "secret",
    end,
    verify('{ method: PUT, path: /x, json: { deep: [‸"${db.url}"] } }'),
    "Unknown reference ${db.url} in a request of verify",
    "nothing else of a stamp",
  ],
  [
    "misspelt reference",
    end,
    verify('{ path: ‸"/x/${tenant.kay}" }'),
    "Unknown reference ${tenant.kay} in a request of verify",
    '"tenant.key"',
  ],
  ["malformed reference", end, verify('{ path: /x, text: ‸"${x" }'), "Malformed reference in verify[0].text", "$${"],
  ["body of a GET", end, verify("{ path: /x, ‸json: {} }"), "A GET request has no body", "POST"],
  ["text of a HEAD", end, verify("{ method: HEAD, path: /x, ‸text: a }"), "The answer to HEAD has no text", "GET"],
  [
    "header of the route",
    end,
    verify('{ path: /x, headers: { ‸Stampyard-Route: "v1" } }'),
    "Header Stampyard-Route cannot be set",
    "follows from the route",
  ],
  ["host", end, verify("{ path: /x, headers: { ‸Host: a.b } }"), "Header Host cannot be set", "Remove it"],
];

test.each(rows)("parseTemplate() names the place of a bad request of verify: %s", (_, from, to, message, mend) => {
  const { text, place } = badFile(good, from, to);
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems.map((problem) => problem.message)).toEqual([message]);
  expect(parsed.problems[0]?.mend).toContain(mend);
  if (place !== undefined) expect(parsed.problems[0]).toMatchObject(place);
});

test("parseTemplate() bounds verify: 20 requests, and paths of its own stamp only", () => {
  const many = verify(Array.from({ length: 21 }, () => "{ path: /x }").join("\n  - "));
  for (const [bad, message] of [
    [many, "verify"],
    [verify("{ path: http://elsewhere/x }"), "verify[0].path"],
    [verify("{ path: /x y }"), "verify[0].path"],
  ] as const) {
    const parsed = parseTemplate(
      good.replace(end, () => bad),
      { file: "stamp.yaml" },
    );
    if (parsed.ok) throw new Error(`It was taken for good: ${bad}`);
    expect(parsed.problems.map((problem) => problem.path)).toEqual([message]);
  }
});
