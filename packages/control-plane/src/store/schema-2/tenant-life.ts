/** Suspension and offboarding of tenants. */
export const tenantLifeSql = `
`;
