import type { Digest } from "@stampyard/domain";
import { expect, test } from "vitest";
import type { ReleaseInput } from "../store/port.ts";
import { requireFiles } from "./require-files.ts";

const own: Digest = "sha256:own";
const taken: Digest = "sha256:taken";
const components = [{ kind: "service", content: taken }, { kind: "job" }, { kind: "postgres" }];
const release = {
  digest: "sha256:release",
  version: "2.1.0",
  content: own,
  template: { stages: [{ components }] },
} as unknown as ReleaseInput;

test("requireFiles() holds all that a release starts from, and refuses one of which some are gone (I37)", async () => {
  const kept = new Set([own, taken]);
  const held: Digest[] = [];
  const contents = {
    hold: async (content: Digest) => {
      held.push(content);
      return kept.has(content);
    },
  };
  await requireFiles({ contents }, [release]);
  expect(held).toEqual([own, taken]);
  kept.delete(taken);
  await expect(requireFiles({ contents }, [release])).rejects.toMatchObject({
    code: "RELEASE_NOT_FOUND",
    message: "Files of release 2.1.0 (sha256:release) are not kept any more",
  });
  await requireFiles({}, [release]);
});
