-- What wrk saw, as one line of JSON. With the argument `varying` every request has another cookie; with `balanced` every
-- request is another client's, as a balancer passes them on: path, query, Referer, Cookie, X-Forwarded-For and request id
-- are drawn anew, from a seed; with `fields N` a request has N fields, each with a value of its own.

local cookies = 0

local function hex(digits)
   local text = {}
   for i = 1, digits / 4 do
      text[i] = ("%04x"):format(math.random(0, 65535))
   end
   return table.concat(text)
end

local drawn = "Referer: https://shop.example.org/list/%d?sort=%s&page=%d\r\n" ..
   "Cookie: session=%s; theme=dark; _ga=GA1.2.%d.%d\r\n" ..
   "X-Forwarded-For: %d.%d.%d.%d\r\nX-Forwarded-Proto: https\r\nX-Request-Id: %s\r\n\r\n"

local function balanced(rest)
   local random = math.random
   local first = ("GET /items/%d/%s?page=%d&token=%s HTTP/1.1\r\n")
      :format(random(1, 1e6), hex(8), random(1, 500), hex(16))
   return first .. rest .. drawn:format(random(1, 1e5), hex(4), random(1, 99), hex(32), random(1, 1e9), random(1, 1e9),
      random(1, 223), random(0, 255), random(0, 255), random(1, 254), hex(32))
end

local function fields(count)
   local lines = {("GET /?token=%s HTTP/1.1\r\nHost: localhost"):format(hex(16))}
   for i = 2, count do
      lines[i] = ("X-Field-%d: %s"):format(i, hex(16))
   end
   return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

function init(arguments)
   math.randomseed(1)
   if arguments[1] == "varying" then
      wrk.headers["Cookie"] = nil
      local head = wrk.format():sub(1, -3) .. "Cookie: session=abcdef0123456789; theme=dark; n="
      request = function()
         cookies = cookies + 1
         return head .. cookies .. "\r\n\r\n"
      end
   elseif arguments[1] == "fields" then
      request = function()
         return fields(tonumber(arguments[2]))
      end
   elseif arguments[1] == "balanced" then
      wrk.headers["Cookie"] = nil
      local rest = wrk.format():match("\r\n(.*)\r\n$")
      request = function()
         return balanced(rest)
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
