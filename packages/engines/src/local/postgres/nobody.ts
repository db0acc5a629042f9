import { readFileSync } from "node:fs";
import { StampyardError } from "@stampyard/domain";

/** PostgreSQL's tools refuse root and users without a name; this one has a name and no rights. */
export function uidOfNobody(): number {
  const users = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of ["nobody", "postgres"]) {
    const uid = users.find((line) => line.startsWith(`${name}:`))?.split(":")[2];
    if (uid !== undefined && Number(uid) !== 0) return Number(uid);
  }
  throw new StampyardError("BINARY_MISSING", "PostgreSQL cannot be set up as root: there is no user nobody", {
    mend: "Run Stampyard as an ordinary user.",
  });
}
