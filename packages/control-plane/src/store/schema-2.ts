import { capacitySql } from "./schema-2/capacity.ts";
import { observedLoadSql } from "./schema-2/observed-load.ts";
import { placementSql } from "./schema-2/placement.ts";
import { poolSamplesSql } from "./schema-2/pool-samples.ts";
import { stampLifeSql } from "./schema-2/stamp-life.ts";
import { tenantLifeSql } from "./schema-2/tenant-life.ts";

/** Schema version 2: placement by capacity, and the lives of stamps and tenants. */
export const schema2 = stampLifeSql + placementSql + tenantLifeSql + observedLoadSql + capacitySql + poolSamplesSql;
