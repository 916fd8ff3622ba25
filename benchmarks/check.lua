-- Post the bodies in a file, one JSON document per line, once each, and print the seconds that it takes.
local ffi = require("ffi")
ffi.cdef("typedef struct { long s, us; } timeval; int gettimeofday(timeval *, void *);")
local requests, sent, received, started = {}, 0, 0, nil

local function now()
  local time = ffi.new("timeval")
  ffi.C.gettimeofday(time, nil)
  return tonumber(time.s) + tonumber(time.us) / 1e6
end

function init(args)
  wrk.headers["Content-Type"] = "application/json"
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", "/v1/models/model:predict", nil, body)
  end
end

function request()
  started = started or now()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

function response(status)
  if status ~= 200 then
    print("status " .. status)
    os.exit(1)
  end
  received = received + 1
  if received == #requests then
    print(now() - started)
    os.exit(0)
  end
end
