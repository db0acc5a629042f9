/** Uploads under way, by tenant: work that no table knows of yet. */
export interface Uploads {
  during<T>(tenant: string, work: () => Promise<T>): Promise<T>;
  pending(tenant: string): number;
}

export function countUploads(): Uploads {
  const counts = new Map<string, number>();
  const add = (tenant: string, change: number) => {
    const count = (counts.get(tenant) ?? 0) + change;
    if (count === 0) counts.delete(tenant);
    else counts.set(tenant, count);
  };
  return {
    async during(tenant, work) {
      add(tenant, 1);
      try {
        return await work();
      } finally {
        add(tenant, -1);
      }
    },
    pending: (tenant) => counts.get(tenant) ?? 0,
  };
}
