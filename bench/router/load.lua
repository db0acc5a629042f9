-- Requests of all tenants in a scattered order; the same for every proxy.
local tenants = tonumber(os.getenv("TENANTS"))
local path = os.getenv("BENCH_PATH")
local upload = os.getenv("BENCH_UPLOAD")
local headers = { ["Accept"] = "application/json", ["User-Agent"] = "bench", ["Accept-Encoding"] = "gzip", ["Cookie"] = "session=0123456789abcdef0123456789abcdef" }
local body = nil
if upload then body = string.rep("x", tonumber(upload)) end
local at = 0
function request()
  at = (at + 7919) % tenants
  headers["Host"] = "t" .. at .. ".bench.test"
  return wrk.format(body and "POST" or "GET", path, headers, body)
end
function done(summary, latency)
  io.write(string.format('JSON {"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d,"status":%d}\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout, summary.errors.status))
end
