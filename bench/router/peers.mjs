/** Configurations of the peers: the same tenants, upstreams, forwarded headers, access log and counters as ours. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export const stamps = ["s-1", "s-2", "s-3", "s-4"];
export const homeOf = (tenant) => stamps[(tenant * 7) % stamps.length];

export function writeUpstream(dir, ports) {
  const servers = ports
    .map(
      (port, n) =>
        `server { listen 127.0.0.1:${port} backlog=4096; location = /big { root ${dir}; } location = /up { client_max_body_size 0; client_body_buffer_size 2m; proxy_pass http://127.0.0.1:${port}/small; proxy_method GET; proxy_pass_request_body off; proxy_set_header Content-Length ""; } location / { default_type text/plain; return 200 "${String(n + 1).repeat(200)}"; } }`,
    )
    .join("\n");
  writeFileSync(
    join(dir, "upstream.conf"),
    `user root; worker_processes 1; pid ${dir}/upstream.pid; error_log ${dir}/upstream.err; events { worker_connections 8192; }
http { access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/up-proxy;
fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s; ${servers} }\n`,
  );
  writeFileSync(join(dir, "big"), Buffer.alloc(1 << 20, "x"));
}

export function writeNginx(dir, port, ports, tenants) {
  const entries = [];
  for (let n = 0; n < tenants; n++) entries.push(`t${n}.bench.test ${homeOf(n)};`);
  writeFileSync(join(dir, "nginx.map"), entries.join("\n"));
  const upstreams = stamps.map(
    (stamp, n) => `upstream ${stamp} { server 127.0.0.1:${ports[n]}; keepalive 256; keepalive_requests 100000000; }`,
  );
  writeFileSync(
    join(dir, "nginx.conf"),
    `user root; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/nginx.err; events { worker_connections 8192; }
http { map_hash_max_size ${Math.max(262_144, tenants * 4)}; map_hash_bucket_size 128; keepalive_requests 1000;
log_format lines escape=json '{"time":"$time_iso8601","requestId":"$request_id","method":"$request_method","path":"$uri","stamp":"$stamp","status":$status,"ms":$request_time}';
access_log ${dir}/nginx.log lines buffer=64k flush=1s;
client_body_temp_path ${dir}/n-body; proxy_temp_path ${dir}/n-proxy; fastcgi_temp_path ${dir}/n-f; uwsgi_temp_path ${dir}/n-u; scgi_temp_path ${dir}/n-s;
map $host $stamp { include ${dir}/nginx.map; }
${upstreams.join("\n")}
server { listen 127.0.0.1:${port} backlog=4096; client_max_body_size 0; proxy_request_buffering off;
location = /stub { stub_status; }
location / { if ($stamp = "") { return 404; } proxy_pass http://$stamp; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto http; proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id; proxy_set_header Via "1.1 bench"; add_header X-Request-Id $request_id; } } }\n`,
  );
}

export function writeHaproxy(dir, port, ports, tenants) {
  const entries = [];
  for (let n = 0; n < tenants; n++) entries.push(`t${n}.bench.test ${homeOf(n)}`);
  writeFileSync(join(dir, "haproxy.map"), `${entries.join("\n")}\n`);
  const backends = stamps.map((stamp, n) => `backend ${stamp}\n  server one 127.0.0.1:${ports[n]}`);
  writeFileSync(
    join(dir, "haproxy.cfg"),
    `global
  nbthread 1
  maxconn 8192
  stats socket ${dir}/haproxy.sock mode 600 level admin
  log stdout format raw local0
defaults
  mode http
  timeout connect 1s
  timeout client 65s
  timeout server 60s
  http-reuse aggressive
  option forwardfor
  log global
frontend in
  bind 127.0.0.1:${port} backlog 4096
  unique-id-format %{+X}o%ci%cp%ts%rt
  unique-id-header X-Request-Id
  log-format '{"time":"%tr","requestId":"%ID","method":"%HM","path":"%HP","stamp":"%b","status":%ST,"ms":%Ta}'
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Via "1.1 bench"
  http-response set-header X-Request-Id %[unique-id]
  http-request set-var(txn.s) req.hdr(host),field(1,:),lower,map_str(${dir}/haproxy.map)
  http-request return status 404 if !{ var(txn.s) -m found }
  use_backend %[var(txn.s)]
${backends.join("\n")}\n`,
  );
}

/** Host to address, for the Node proxies. */
export function writeHomes(dir, ports, tenants) {
  const lines = [];
  for (let n = 0; n < tenants; n++) lines.push(`t${n}.bench.test 127.0.0.1:${ports[stamps.indexOf(homeOf(n))]}`);
  writeFileSync(join(dir, "homes"), lines.join("\n"));
}
