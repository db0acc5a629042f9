import { execFile } from "node:child_process";
import { chmod, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Makes `<file>.crt` and `<file>.key` in a folder, signed by themselves, by the openssl of the system.
 * @param names hosts of the certificate
 */
export async function makePair(
  folder: string,
  file: string,
  names: readonly string[],
  subject = file,
): Promise<string> {
  const key = join(folder, `.${file}.key.new`);
  const cert = join(folder, `.${file}.crt.new`);
  const subjects = `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`;
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const out = ["-keyout", key, "-out", cert, "-days", "2", "-subj", `/CN=${subject}`, "-addext", subjects];
  await run("openssl", ["req", "-x509", ...curve, ...out]);
  await chmod(key, 0o600);
  await rename(key, join(folder, `${file}.key`));
  await rename(cert, join(folder, `${file}.crt`));
  return join(folder, `${file}.crt`);
}

/** A pair that no client and no server should take. */
export async function writePair(folder: string, file: string, cert: string, key: string): Promise<void> {
  await writeFile(join(folder, `${file}.key`), key, { mode: 0o600 });
  await writeFile(join(folder, `${file}.crt`), cert);
}
