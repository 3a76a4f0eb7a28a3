-- What wrk saw, as one line of JSON. With the argument `varying` every request has another cookie.

local cookies = 0

function init(arguments)
   if arguments[1] == "varying" then
      wrk.headers["Cookie"] = nil
      local head = wrk.format():sub(1, -3) .. "Cookie: session=abcdef0123456789; theme=dark; n="
      request = function()
         cookies = cookies + 1
         return head .. cookies .. "\r\n\r\n"
      end
   end
end

function done(summary, latency)
   local errors = summary.errors
   local line = '\n{"requests": %d, "microseconds": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d, ' ..
      '"status": %d, "p50": %d, "p99": %d}\n'
   io.write(line:format(summary.requests, summary.duration, errors.connect, errors.read, errors.write, errors.timeout,
      errors.status, latency:percentile(50), latency:percentile(99)))
end
