import fc from "fast-check";
import { isIP } from "node:net";
import { expect, test } from "vitest";
import { parseAddress, peerFault } from "./addresses.ts";

test("parseAddress() agrees with the runtime on what an address is", () => {
  const near = fc.array(fc.constantFrom("0", "1", "a", "ff", "255", "256", ".", ":", "::", "10", "12345"), {
    maxLength: 17,
  });
  const texts = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    near.map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const bytes = parseAddress(text);
      expect(bytes?.length ?? 0, text).toBe({ 0: 0, 4: 4, 6: 16 }[isIP(text)]);
    }),
    { numRuns: 3_000 },
  );
});

test.each([
  ["::", undefined],
  ["::ffff:1.2.3.4", undefined],
  ["fd00::/8", undefined],
  ["fd00::1/8", "host-bits"],
  ["192.168.1.0/24", undefined],
  ["192.168.1.0/23", "host-bits"],
  ["1.2.3.4/32", undefined],
  ["::/0", "everybody"],
  ["1.2.3.4/08", "malformed"],
  ["1.2.3.4/8/8", "malformed"],
  ["", "malformed"],
])("peerFault(%s) is %s", (text, fault) => {
  expect(peerFault(text)).toBe(fault);
});
