/** Reservations and overrides of placement. */
export const placementSql = `
`;
