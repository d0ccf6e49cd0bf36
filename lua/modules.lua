-- SPDX-License-Identifier: MIT
--
-- modules.lua - how `require` finds a module: beside the script, then among the built-in ones.
--
-- A module is run once and kept, like in any Lua; it is run again when its file changed, or the
-- file of a module that it required. It has an environment of its own, which sees the globals of
-- the run (print, data, run...) and keeps what the module itself defines: globals of a run end
-- with the run, a module does not.
--
-- `below` is what C gives: stamp, load, embedded, globals, folder (src/script/modules.c).

local below = ...
local error, pairs, setmetatable, tostring, type = error, pairs, setmetatable, tostring, type
local find, gmatch, gsub, sub = string.find, string.gmatch, string.gsub, string.sub
local concat = table.concat

local records = {} -- path -> {path, stamp, value, needs = {record...}}
local built_in = {} -- name -> value
local loading = {} -- records being loaded, the innermost last

local function escape(text)
    return (gsub(text, "%%", "%%%%"))
end

local function searchpath(name, path, separator, replacement)
    name = gsub(name, gsub(separator or ".", "%p", "%%%0"), escape(replacement or "/"))
    local missed = {}
    for template in gmatch(path, "[^;]+") do
        local file = gsub(template, "%?", (escape(name)))
        if below.stamp(file) then
            return file
        end
        missed[#missed + 1] = "no file '" .. file .. "'"
    end
    return nil, concat(missed, "\n\t")
end

local function environment()
    return setmetatable({}, {
        __index = function(_, name)
            return below.globals()[name]
        end,
    })
end

-- Is what was loaded still what the files say?
local function fresh(record)
    if record.stamp ~= below.stamp(record.path) then
        return false
    end
    for need in pairs(record.needs) do
        if records[need.path] ~= need or not fresh(need) then
            return false
        end
    end
    return true
end

-- Errors name a module by its place beside the script.
local function chunk_name(path)
    local folder = below.folder() .. "/"
    if sub(path, 1, #folder) == folder then
        path = sub(path, #folder + 1)
    end
    return "@" .. path
end

local function load_file(name, path)
    local record = records[path]
    local above = loading[#loading]
    if not record or not fresh(record) then
        for _, other in pairs(loading) do
            if other.path == path then
                error("module '" .. name .. "' requires itself", 3)
            end
        end
        local chunk, stamp = below.load(path, chunk_name(path), environment())
        if not chunk then
            error("error loading module '" .. name .. "' from file '" .. path .. "':\n\t" .. stamp, 3)
        end
        record = { path = path, stamp = stamp, needs = {} }
        loading[#loading + 1] = record
        local unwind <close> = setmetatable({}, {
            __close = function()
                loading[#loading] = nil
            end,
        })
        local value = chunk(name, path)
        if value == nil then
            value = true
        end
        record.value = value
        records[path] = record
    end
    if above then
        above.needs[record] = true
    end
    return record.value, path
end

local function load_built_in(name)
    if built_in[name] == nil then
        local chunk = below.embedded(name, environment())
        if not chunk then
            return nil
        end
        local value = chunk(name)
        built_in[name] = value == nil and true or value
    end
    return built_in[name], ":built-in:"
end

local function require(name)
    if type(name) ~= "string" then
        error("bad argument #1 to 'require' (string expected)", 2)
    end
    local package = below.globals().package
    local loaded = package.loaded
    if loaded[name] ~= nil then
        return loaded[name]
    end
    local value, where
    local preload = package.preload and package.preload[name]
    local path, missed = searchpath(name, tostring(package.path))
    if preload then
        value, where = preload(name, ":preload:"), ":preload:"
        value = value == nil and true or value
    elseif path then
        value, where = load_file(name, path)
    else
        value, where = load_built_in(name)
    end
    if value == nil then
        error("module '" .. name .. "' not found:\n\t" .. missed .. "\n\tno built-in module of that name", 2)
    end
    if loaded[name] == nil then
        loaded[name] = value
    end
    return loaded[name], where
end

return { require = require, searchpath = searchpath }
