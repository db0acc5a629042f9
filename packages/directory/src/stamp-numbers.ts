import { maxStampIds } from "./record.ts";

/** Small numbers for stamps that have tenants: a record holds the number, never the name. */
export interface StampNumbers {
  readonly numbers: Map<string, number>;
  readonly names: (string | undefined)[];
  /** Tenants per number; a number without tenants is given to the next name. */
  readonly tenants: number[];
  readonly unused: number[];
}

export function newStampNumbers(names: readonly (string | null)[] = [], tenants: readonly number[] = []): StampNumbers {
  const stamps: StampNumbers = { numbers: new Map(), names: [], tenants: [], unused: [] };
  names.forEach((name, number) => {
    stamps.names.push(name ?? undefined);
    stamps.tenants.push(tenants[number] ?? 0);
    if (name === null) stamps.unused.push(number);
    else stamps.numbers.set(name, number);
  });
  return stamps;
}

/**
 * The number of a stamp that gets one more tenant.
 * @throws RangeError beyond four million stamps
 */
export function addTenantTo(stamps: StampNumbers, name: string): number {
  let number = stamps.numbers.get(name);
  if (number === undefined) {
    number = stamps.unused.pop() ?? stamps.names.length;
    if (number >= maxStampIds) throw new RangeError(`A directory names at most ${maxStampIds} stamps`);
    stamps.numbers.set(name, number);
    stamps.names[number] = name;
    stamps.tenants[number] = 0;
  }
  stamps.tenants[number] = (stamps.tenants[number] ?? 0) + 1;
  return number;
}

export function takeTenantFrom(stamps: StampNumbers, number: number): void {
  const left = (stamps.tenants[number] ?? 0) - 1;
  stamps.tenants[number] = left;
  const name = stamps.names[number];
  if (left > 0 || name === undefined) return;
  stamps.numbers.delete(name);
  stamps.names[number] = undefined;
  stamps.unused.push(number);
}

export function tenantsOf(stamps: StampNumbers, name: string): number {
  const number = stamps.numbers.get(name);
  return number === undefined ? 0 : (stamps.tenants[number] ?? 0);
}
