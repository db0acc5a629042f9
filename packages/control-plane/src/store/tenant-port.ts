import type { DirectoryChange } from "@stampyard/directory";
import type { ErasureCertificate, Instant, Tenant } from "@stampyard/domain";
import type {
  CertificateRecord,
  ImportPlan,
  ImportResult,
  Page,
  PageOptions,
  Revisioned,
  TenantCount,
  TenantEvent,
  TenantFilter,
  TenantInput,
  TenantWhere,
  WriteContext,
} from "./records.ts";

/** Tenants and what happens to them; see `Store` for what every write has in common. */
export interface TenantStore {
  read(key: string): Promise<Revisioned<Tenant> | undefined>;
  /** By key; the gone are not kept (their history is). */
  list(options?: PageOptions & TenantFilter): Promise<Page<Revisioned<Tenant>>>;
  /**
   * Registers a tenant and reserves its place in the same transaction: `preparing` with a home, or `placing` while a
   * stamp with room is still being built. Its epoch continues above that of an earlier tenant of this key (I2).
   * @throws StampyardError ALREADY_EXISTS, HOSTNAME_TAKEN, POOL_NOT_FOUND, STAMP_NOT_FOUND, POOL_FULL (nothing is kept)
   */
  create(input: TenantInput, ctx: WriteContext): Promise<Revisioned<Tenant>>;
  /** Action `place`: reserves a place now if there is one (→ `preparing`, epoch + 1), else says what it waits for. */
  place(key: string, ctx: WriteContext): Promise<Revisioned<Tenant>>;
  /** Action `vacate`: gives the place back, raises the epoch (→ `placing`). Only while preparing. */
  vacate(key: string, revision: number, ctx: WriteContext): Promise<Revisioned<Tenant>>;
  /**
   * Writes state, goal and waitingOn; the rest has its own functions. A new phase must follow `tenantNext`. `gone`
   * removes the row, keeps the epoch for ever and the history. A `tenant-put` among the changes must be of this tenant,
   * published as its state says, with its epoch (I45). Audit rule as in `stamps.write`.
   */
  write(
    tenant: Tenant,
    revision: number,
    options: {
      readonly changes?: readonly DirectoryChange[];
      readonly action?: string;
      /** With state `gone`: kept in its audit row. */
      readonly certificate?: ErasureCertificate;
    },
    ctx: WriteContext,
  ): Promise<Revisioned<Tenant>>;
  /** Sets goal `absent`. Idempotent. @throws StampyardError TENANT_NOT_FOUND */
  remove(key: string, options: { readonly revision?: number }, ctx: WriteContext): Promise<Revisioned<Tenant>>;
  /**
   * Sets goal `suspended`; routers and stamp follow by the reconciler. Idempotent: the first word stays.
   * @throws StampyardError WRONG_PHASE for a tenant that is not published yet, or is being deleted
   */
  suspend(
    key: string,
    options: { readonly reason: string; readonly revision?: number },
    ctx: WriteContext,
  ): Promise<Revisioned<Tenant>>;
  /** Sets goal `present` again. Idempotent. @throws StampyardError WRONG_PHASE as `suspend` */
  resume(key: string, options: { readonly revision?: number }, ctx: WriteContext): Promise<Revisioned<Tenant>>;
  /** Also changes the directory when it is active. Idempotent. @throws StampyardError HOSTNAME_TAKEN naming the holder */
  addHostname(
    key: string,
    hostname: string,
    options: { readonly revision?: number },
    ctx: WriteContext,
  ): Promise<Revisioned<Tenant>>;
  removeHostname(
    key: string,
    hostname: string,
    options: { readonly revision?: number },
    ctx: WriteContext,
  ): Promise<Revisioned<Tenant>>;
  /** What an import would do now. Changes nothing. */
  planImport(inputs: readonly TenantInput[]): Promise<ImportPlan>;
  /** All or nothing: with a conflict nothing is created. Repeating it finds everything unchanged. */
  import(inputs: readonly TenantInput[], ctx: WriteContext): Promise<ImportResult>;
  /** Oldest first; also of a tenant that is gone. */
  history(key: string, page?: PageOptions): Promise<Page<TenantEvent>>;
  /** Of the last tenant of this key that is gone. @throws StampyardError NOT_FOUND */
  certificate(key: string): Promise<CertificateRecord>;
  /** @throws StampyardError TENANT_NOT_FOUND when the key was never used */
  where(key: string, at: Instant): Promise<TenantWhere>;
  /** Keys whose turn it is: all that are not, at rest, what they are to be; those with a `retryAt` after `now` come later. */
  due(now: Instant, limit?: number): Promise<readonly string[]>;
  /** Non-gone tenants per pool and home. */
  countHomes(): Promise<readonly TenantCount[]>;
  /** Non-gone tenants per phase. */
  counts(): Promise<Readonly<Record<string, number>>>;
}
