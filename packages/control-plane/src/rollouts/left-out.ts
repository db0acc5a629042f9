/** What the author of a release wants to leave out of it. */
export type IsLeftOut = (path: string) => boolean;

export const leaveOutName = ".stampyardignore";

/**
 * Reads lines of `.stampyardignore`: a name with `*` for any part of it leaves out everything of that name, one with a
 * `/` in it only what is there, from the folder on. Empty lines and those that begin with `#` say nothing.
 */
export function readLeftOut(text: string): IsLeftOut {
  const rules = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({
      isPath: line.replace(/\/+$/, "").includes("/"),
      pattern: patternOf(line.replace(/^\/+|\/+$/g, "")),
    }));
  return (path) => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    return rules.some(({ isPath, pattern }) => pattern.test(isPath ? path : name));
  };
}

function patternOf(line: string): RegExp {
  const parts = line.split("*").map((part) => part.replace(/[\\^$.+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^/]*")}$`);
}
