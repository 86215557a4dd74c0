-- One fixed request per connection and turn; the figures leave as one line for a program.
-- Arguments: method, Accept, Content-Type, file with the body.

function init(args)
  wrk.method = args[1]
  wrk.headers["Accept"] = args[2]
  wrk.headers["Content-Type"] = args[3]
  local file = assert(io.open(args[4], "rb"))
  wrk.body = file:read("*a")
  file:close()
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    "figures requests=%d microseconds=%d p50=%.1f p99=%.1f " ..
    "connect=%d read=%d write=%d status=%d timeout=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.connect, failed.read, failed.write, failed.status, failed.timeout))
end
