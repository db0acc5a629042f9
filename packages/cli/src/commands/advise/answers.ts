import type { AdviceInput } from "@stampyard/api";
import { CommandFailure } from "../../failure.ts";

type Questions = typeof import("@stampyard/api").adviceQuestions;

/** `biggestShare` as an option and in a file: `biggest-share`. */
export function optionOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** A file with every question as a comment and its assumption: what `--questions` prints and `--answers` reads. */
export function questionsText(questions: Questions): string {
  const lines = questions.flatMap(({ key, ask, otherwise, isShare, min, max }) => {
    const example = otherwise === "none" ? "" : ` ${isShare === true ? `${otherwise * 100}%` : otherwise}`;
    const range = isShare === true ? "a share such as 40%" : `${min} to ${max}`;
    const without = otherwise === "none" ? (key === "tenants" ? "must be answered" : "left out") : `assumed:${example}`;
    return [`# ${ask}: ${range}; ${without}`, `# ${optionOf(key)}:${example}`, ""];
  });
  const last = [
    "# Whether every row of the database names its tenant already: yes or no; assumed: no",
    "# tenant-key: no",
    "",
    "# Currency of all amounts, for display",
    "# currency: EUR",
  ];
  return `# Answers for: stampyard advise --answers FILE\n# Take the # away where you know better.\n\n${[...lines, ...last].join("\n")}\n`;
}

/** Answers as options and files write them, by name: numbers, shares as `40%`, `yes` and `no`. @throws CommandFailure with every fault */
export function readAnswers(
  questions: Questions,
  given: ReadonlyMap<string, { readonly text: string; readonly where: string }>,
): Partial<AdviceInput> {
  const problems: { message: string }[] = [];
  const answers: Record<string, number | string | boolean> = {};
  const byName = new Map(questions.map((question) => [optionOf(question.key), question]));
  for (const [name, { text, where }] of given) {
    const question = byName.get(name);
    if (name === "tenant-key") {
      if (text === "yes" || text === "no") answers["tenantKey"] = text === "yes";
      else problems.push({ message: `${where}: tenant-key is ${JSON.stringify(text)}, and should be yes or no` });
    } else if (name === "currency") {
      if (/^[A-Z]{3}$/.test(text)) answers["currency"] = text;
      else
        problems.push({ message: `${where}: currency is ${JSON.stringify(text)}, and should be a code such as EUR` });
    } else if (question === undefined) {
      problems.push({ message: `${where}: there is no question ${JSON.stringify(name)}` });
    } else {
      const found = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.replaceAll("_", ""));
      if (found === null || (found[2] === "%" && question.isShare !== true)) {
        problems.push({ message: `${where}: ${name} is ${JSON.stringify(text)}, which is no number` });
      } else answers[question.key] = found[2] === "%" ? Number(found[1]) / 100 : Number(found[1]);
    }
  }
  if (problems.length === 0) return answers as Partial<AdviceInput>;
  throw new CommandFailure("INVALID_REQUEST", problems[0]?.message ?? "", {
    problems,
    mend: "See every question with `stampyard advise --questions`.",
  });
}

/** Lines `name: value`; the rest of a line after ` #` is a comment. */
export function linesOf(text: string, file: string): Map<string, { text: string; where: string }> {
  const out = new Map<string, { text: string; where: string }>();
  const problems: { message: string }[] = [];
  for (const [index, line] of text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .entries()) {
    const bare = line.replace(/(?:^|\s)#.*$/, "").trim();
    if (bare === "") continue;
    const where = `${file}:${index + 1}`;
    const found = /^([a-z][a-z-]*)\s*:\s*(\S+)$/.exec(bare);
    const name = found?.[1] ?? "";
    if (found === null) problems.push({ message: `${where}: not a line such as tenants: 400` });
    else if (out.has(name)) problems.push({ message: `${where}: ${name} is answered twice` });
    else out.set(name, { text: found[2] ?? "", where });
  }
  if (problems.length === 0) return out;
  throw new CommandFailure("INVALID_REQUEST", problems[0]?.message ?? "", {
    problems,
    mend: "Write one `name: value` per line, as `stampyard advise --questions` prints them.",
  });
}
