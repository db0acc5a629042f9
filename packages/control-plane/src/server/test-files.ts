/** A fleet of two pools and a template, small and valid. */
export const fleetYaml = `
apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: demo }
template: ./stamp.yaml
pools:
  shared:
    regions: [eu, us]
    stamps: { min: 2, max: 3 }
  alone:
    tenancy: dedicated
    regions: [eu]
    stamps: { min: 0, max: 1 }
routing:
  domains: [localhost]
`;
export const templateYaml = `
apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: demo, version: 1.0.0 }
components:
  db: { kind: postgres, version: 18 }
  cache: { kind: redis, maxMemory: 64Mi }
  api:
    kind: service
    command: node api.js
    port: auto
    health: { path: /healthz }
    env: { DATABASE_URL: "\${db.url}", CACHE_URL: "\${cache.url}", ROUTE_KEYS: "\${route.keys}" }
ingress: { service: api }
capacity: { tenants: 3 }
tenancy: { model: rows, column: tenant_id }
`;
export const files = { fleetYaml, templateYaml, sourceDir: "/srv/demo" };
