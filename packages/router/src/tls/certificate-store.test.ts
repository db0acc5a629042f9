import { chmod, copyFile, mkdtemp, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { makePair, writePair } from "../test-bed/certificates.ts";
import { eventually } from "../test-bed/test-bed.ts";
import { type CertificateStore, openCertificateStore } from "./certificate-store.ts";

let made: string;
let folder: string;
let lines: { level: string; message: string; fields: Readonly<Record<string, unknown>> | undefined }[];
let store: CertificateStore | undefined;

beforeAll(async () => {
  made = await mkdtemp(join(tmpdir(), "stampyard-certificates-"));
  await makePair(made, "a", ["acme.example.com", "*.example.com"], "first");
  await makePair(made, "b", ["acme.example.com", "*.example.com"], "second");
});
afterAll(() => rm(made, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "stampyard-certificates-"));
  lines = [];
});
afterEach(async () => {
  store?.close();
  await rm(folder, { recursive: true, force: true });
});

async function put(from: string, pattern: string): Promise<void> {
  await copyFile(join(made, `${from}.key`), join(folder, `${pattern}.key`));
  await chmod(join(folder, `${pattern}.key`), 0o600);
  await copyFile(join(made, `${from}.crt`), join(folder, `${pattern}.crt`));
}

async function openStore(now: () => number = Date.now): Promise<CertificateStore> {
  store = await openCertificateStore({
    folder,
    log: (level, message, fields) => lines.push({ level, message, fields }),
    now,
  });
  return store;
}

test("lookup() finds a host's own pair, then its wildcard's, then the default, in any case", async () => {
  await put("a", "acme.example.com");
  await put("a", "_wildcard.example.com");
  await put("b", "default");
  const { lookup, size } = await openStore();
  expect(size()).toBe(3);
  const found = (name: string | undefined) => lookup(name)?.pattern;
  expect(found("acme.example.com")).toBe("acme.example.com");
  expect(found("ACME.Example.COM.")).toBe("acme.example.com");
  expect(found("globex.example.com")).toBe("*.example.com");
  expect(found("a.b.example.com")).toBe("default");
  expect(found("example.com")).toBe("default");
  expect(found(undefined)).toBe("default");
  for (const odd of ["", "\0", "*.example.com", "a".repeat(5_000), "__proto__", "constructor", "é", "..", "[::1]"]) {
    expect(found(odd), odd.slice(0, 20)).toBe("default");
  }
  expect(lines.filter(({ level }) => level === "error")).toEqual([]);
});

test("openCertificateStore() uses no pair that is broken, foreign, expired or open to others, and says which", async () => {
  const [cert, key] = await Promise.all([readFile(join(made, "a.crt"), "utf8"), readFile(join(made, "b.key"), "utf8")]);
  await put("a", "good.example.com");
  await put("a", "open.example.com");
  await chmod(join(folder, "open.example.com.key"), 0o640);
  await put("a", "foreign.example.org");
  await writePair(folder, "mixed.example.com", cert, key);
  await writePair(folder, "broken.example.com", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key);
  await put("a", "nokey.example.com");
  await unlink(join(folder, "nokey.example.com.key"));
  await put("a", "not a host");
  await put("a", "*.example.com");
  await put("b", "_wildcard.example.com");
  const { size, lookup } = await openStore();
  expect(size()).toBe(2);
  expect(lookup("x.example.com")?.pattern).toBe("*.example.com");
  const problems = Object.fromEntries(
    lines.filter(({ level }) => level === "error").map(({ fields }) => [fields?.["file"], fields?.["problem"]]),
  );
  expect(problems).toEqual({
    "open.example.com.crt": "The key can be read by others; its mode must be 0600",
    "foreign.example.org.crt": "The certificate is not for foreign.example.org",
    "mixed.example.com.crt": "The key is not the certificate's",
    "broken.example.com.crt": "The certificate cannot be read",
    "nokey.example.com.crt": "A file cannot be read: ENOENT",
    "not a host.crt": "The file's name is not a host, _wildcard.<domain> or default",
    "_wildcard.example.com.crt": "There are two files for *.example.com",
  });
  // No key, not even a part of one, is in what was said (I33).
  const body = key.split("\n")[1] ?? "no key";
  expect(JSON.stringify(lines)).not.toContain(body.slice(0, 20));
  expect((await openStore(() => Date.now() + 10 * 86_400_000)).size()).toBe(0);
  expect(JSON.stringify(lines)).toContain("The certificate ended on");
});

test("a changed file is taken up by itself, and a broken one leaves the pair before", async () => {
  await put("a", "acme.example.com");
  const opened = await openStore();
  const digest = () => opened.lookup("acme.example.com")?.digest;
  const before = digest();
  await put("b", "acme.example.com");
  await eventually(() => expect(digest()).not.toBe(before));
  const after = digest();

  await writeFile(join(folder, "acme.example.com.crt"), "not a certificate");
  await opened.reload();
  expect(digest()).toBe(after);
  expect(lines.at(-1)).toMatchObject({ level: "error", fields: { kept: "the one before" } });
  await rm(join(folder, "acme.example.com.crt"));
  await opened.reload();
  expect(digest()).toBeUndefined();
});

test("reload() keeps what has not changed, and all of it when the folder is gone", async () => {
  await put("a", "acme.example.com");
  const opened = await openStore();
  const pair = opened.lookup("acme.example.com");
  await put("b", "other.example.com");
  await opened.reload();
  expect(opened.size()).toBe(2);
  expect(opened.lookup("acme.example.com")).toBe(pair);
  await rm(folder, { recursive: true });
  await opened.reload();
  expect(opened.lookup("acme.example.com")).toBe(pair);
  expect(lines.at(-1)).toMatchObject({ level: "error", message: "certificates cannot be read, the old ones stay" });
});

test("openCertificateStore() says what to do about a folder that is not there", async () => {
  await expect(
    openCertificateStore({ folder: join(folder, "none"), log: () => {}, now: Date.now }),
  ).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    mend: expect.stringContaining("<pattern>.crt"),
  });
});
