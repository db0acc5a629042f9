/**
 * Why this Node may not serve as an HTTP front, or undefined. Before 22.23.2 and 24.18.1 many small headers hide a
 * request's length from us while the parser still honours it (CVE-2026-58044); 20 is never mended.
 */
export function runtimeProblem(version: string): string | undefined {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  const atLeast = (m: number, n: number) => minor > m || (minor === m && patch >= n);
  const safe = major > 24 || (major === 24 && atLeast(21, 0));
  return safe ? undefined : `Node ${version} is not safe as an HTTP front; 24.21 or newer is needed`;
}
