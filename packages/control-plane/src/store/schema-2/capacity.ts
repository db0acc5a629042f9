/** A forecast asks who has left lately, among the events of every tenant there ever was. */
export const capacitySql = `
CREATE INDEX tenant_events_gone ON tenant_events (at) WHERE event = 'gone';
`;
