-- What a script may see, as Redis 7 has it: stock Lua has no tables that refuse writes, so scripts
-- get empty ones in front of the real ones.
--
-- Arguments  the functions that the host implements
-- Returns    the scripts' environment, and the table behind it, for KEYS and ARGV

local host = ...
local error, pcall, xpcall, setmetatable, rawset = error, pcall, xpcall, setmetatable, rawset
local type, tostring = type, tostring

local READONLY = 'Attempt to modify a readonly table'

local function guard(target, missing)
  return setmetatable({}, {
    __index = target,
    __newindex = function() error(READONLY, 2) end,
    guards = true,
  })
end

local globals = setmetatable({}, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})

for _, name in ipairs({
  'tostring', 'getfenv', 'next', 'assert', 'tonumber', 'rawequal', 'collectgarbage', 'getmetatable',
  'type', 'select', 'unpack', 'gcinfo', 'pairs', 'rawget', 'loadstring', 'ipairs', '_VERSION', 'setfenv',
  'load', 'error', 'newproxy', 'coroutine',
}) do
  rawset(globals, name, _G[name])
end

-- In the host: an error in a function of Lua's would hide where a script calls it last of all.
rawset(globals, 'rawset', host.rawset)
rawset(globals, 'setmetatable', host.setmetatable)

local function caught(fine, problem, ...)
  if fine then
    return true, problem, ...
  end
  if type(problem) == 'userdata' then
    problem = host.table_of(problem)
  end
  if type(problem) == 'table' then
    local text = problem.err
    if type(text) == 'string' then
      problem = text
    end
  end
  return false, problem
end
rawset(globals, 'pcall', function(...)
  return caught(pcall(...))
end)
rawset(globals, 'xpcall', function(body, handler)
  return xpcall(body, function(problem)
    if type(problem) == 'userdata' then
      problem = host.table_of(problem)
    end
    return handler(problem)
  end)
end)

local math_of_scripts = {}
for name, value in pairs(math) do
  math_of_scripts[name] = value
end
math_of_scripts.random = host.random
math_of_scripts.randomseed = host.randomseed

local of_strings, strings = getmetatable(''), guard(string)
of_strings.__index = strings
of_strings.__metatable = guard(of_strings)
rawset(globals, 'string', strings)
rawset(globals, 'table', guard(table))
rawset(globals, 'math', guard(math_of_scripts))
rawset(globals, 'redis', guard({
  call = host.call,
  pcall = host.pcall,
  error_reply = host.error_reply,
  status_reply = host.status_reply,
  sha1hex = host.sha1hex,
  log = host.log,
  setresp = host.setresp,
  set_repl = function() end,
  replicate_commands = function() return true end,
  breakpoint = function() return false end,
  debug = function() end,
  acl_check_cmd = function() return true end,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number,
}))

local environment = guard(globals)
rawset(globals, '_G', environment)
return environment, globals
