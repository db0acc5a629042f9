import type { TenantCertificateView } from "@stampyard/api";
import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { fields, table } from "../../output/table.ts";
import { sha256 } from "../../sha256.ts";

export const tenantCertificate = command({
  usage: "certificate <tenant>",
  summary: "Show what was erased of a tenant that is gone, and how it was checked",
  about: "The certificate is part of the audit, so it outlives the tenant. Its digest is computed again here.",
  completes: ["tenant"],
  examples: [
    ["tenant certificate acme", "the tables that were counted, with 0 rows each"],
    ["tenant certificate acme -o json > acme.json", "for the file of whoever asked for the deletion"],
  ],
  run: async (run) => {
    const key = run.args[0] ?? "";
    const client = await run.client();
    const { certificateDigest } = await import("@stampyard/api");
    const found = await client.tenantCertificate({ params: { key }, signal: run.io.signal });
    if (certificateDigest(found.certificate, sha256) !== found.certificate.digest) {
      throw new CommandFailure(
        "UNEXPECTED_ANSWER",
        `The certificate of tenant ${key} does not have the digest it names`,
        {
          mend: "Verify the audit: stampyard audit list --verify.",
        },
      );
    }
    run.emit(found, () => certificateText(found));
    return exitCode.ok;
  },
});

export function certificateText({ certificate, audit, ordered }: TenantCertificateView): string {
  const head = fields([
    ["Tenant", certificate.tenant],
    ["Stamp", certificate.stamp],
    ["Epoch", certificate.epoch],
    ["Gone at", certificate.at],
    ["Ordered", ordered === undefined ? undefined : `${ordered.at} by ${ordered.by}${reasonOf(ordered.reason)}`],
    ["Basis", certificate.basis],
    ["Hook", certificate.hook],
    ["Counted by", certificate.column],
    ["Not checked", certificate.unchecked],
    ["Digest", certificate.digest],
    ["Audit", audit === undefined ? "not numbered yet" : `${audit.number}, chain ${audit.chain.slice(0, 16)}…`],
  ]);
  const rows = certificate.databases.flatMap(({ component, tables }) =>
    tables.map((one) => [component, one.table, one.rows]),
  );
  return rows.length === 0 ? head : `${head}\n${table(["database", "table", "rows"], rows)}`;
}

function reasonOf(reason: string | undefined): string {
  return reason === undefined ? "" : `: ${reason}`;
}
