-- SPDX-License-Identifier: MIT
--
-- heap.lua - the part of `heap` that is policy: what counts as growth, and how tables look.
-- C counts (src/script, src/query); here is what to do with the figures. Read it, copy it, change it.

local heap, partition, delta, current_script = ...
local assert, error, ipairs, math, pairs, print, tostring, type =
    assert, error, ipairs, math, pairs, print, tostring, type
local concat, move, rep, sort = table.concat, table.move, string.rep, table.sort
local gsub, len = string.gsub, utf8.len
local text_count, text_bytes = heap.text_count, heap.text_bytes

local DEFAULT_LIMIT = 10
local KEY_WIDTH = 44 -- a longer key pushes its own figures aside, not everyone's

-- ---- tables ------------------------------------------------------------------------------------

local function width(text)
    return len(text) or #text
end

-- rows of texts; the first column to the left, the others to the right
local function lay(header, rows)
    local widths = {}
    local function measure(row)
        for i, cell in ipairs(row) do
            local w = width(cell)
            if i > 1 or w <= KEY_WIDTH then
                widths[i] = math.max(widths[i] or 0, w)
            end
        end
    end
    measure(header)
    for _, row in ipairs(rows) do
        measure(row)
    end
    local function line(row)
        local out = {}
        for i, cell in ipairs(row) do
            local fill = rep(" ", (widths[i] or 0) - width(cell))
            out[i] = i == 1 and cell .. fill or fill .. cell
        end
        print((gsub(concat(out, "  "), "%s+$", "")))
    end
    line(header)
    for _, row in ipairs(rows) do
        line(row)
    end
end

local function signed(text, n, n_error)
    local number = n == 0 and "0" or (n < 0 and "-" or "+") .. text(math.abs(n))
    return n_error and number .. " ± " .. text(n_error) or number
end

local function options(o, known)
    if o ~= nil and type(o) ~= "table" then
        error("options must be a table, such as {limit=20}", 3)
    end
    for name in pairs(o or {}) do
        if not known[name] then
            error("unknown option '" .. tostring(name) .. "'", 3)
        end
    end
    return o or {}
end

local function finish(shown, total, estimated)
    if shown < total then
        print("... and " .. text_count(total - shown) .. " more")
    end
    if estimated then
        print("(estimated from a sample; ± is what holds in 95 of 100 cases)")
    end
end

local function first(rows, limit)
    return move(rows, 1, math.min(limit, #rows), 1, {})
end

local function by_key(a, b)
    return a.key < b.key
end

-- largest `field` first; equal ones stay as they came
local function sorted(rows, field, size)
    local place = {}
    for i, row in ipairs(rows) do
        place[row] = i
    end
    size = size or function(n) return n end
    sort(rows, function(a, b)
        local x, y = size(a[field]), size(b[field])
        if x ~= y then
            return x > y
        end
        return place[a] < place[b]
    end)
    return rows
end

local PARTITION_OPTIONS = { limit = true, sort = true }

--- p:print{limit=10, sort="bytes" | "count" | "key"}
function partition.print(p, o)
    o = options(o, PARTITION_OPTIONS)
    local by, estimated = p:info()
    local limit = o.limit or DEFAULT_LIMIT
    local rows
    if o.sort == nil or o.sort == "bytes" then
        rows = p:top(limit)
    elseif o.sort == "count" then
        rows = sorted(p:rows(), "count")
    elseif o.sort == "key" then
        rows = p:rows()
        sort(rows, by_key)
    else
        error("p:print can sort by bytes, count or key", 2)
    end
    local lines = {}
    for i = 1, math.min(limit, #rows) do
        local row = rows[i]
        lines[i] = {
            row.key, text_count(row.count, row.count_error), text_bytes(row.bytes, row.bytes_error),
        }
    end
    lay({ by, "count", "bytes" }, lines)
    finish(#lines, #p, estimated)
end

local function delta_header(by)
    return { by, "count", "", "bytes", "" }
end

local function delta_line(row)
    return {
        row.key,
        text_count(row.count, row.count_error),
        signed(text_count, row.count_delta, row.count_delta_error),
        text_bytes(row.bytes, row.bytes_error),
        signed(text_bytes, row.bytes_delta, row.bytes_delta_error),
    }
end

local DELTA_SORTS = { bytes_delta = true, count_delta = true, bytes = true, count = true }

--- d:print{limit=10, sort="bytes_delta" | "count_delta" | "bytes" | "count" | "key"}
-- Without `sort`: the largest changes, whichever way they went, growth first.
function delta.print(d, o)
    o = options(o, PARTITION_OPTIONS)
    local by, estimated = d:info()
    local limit = o.limit or DEFAULT_LIMIT
    local rows = d:rows()
    local total = #rows
    if total == 0 then
        print("no difference")
        return
    end
    if o.sort == nil then
        local largest, place = {}, {}
        for i, row in ipairs(rows) do
            largest[i], place[row] = row, i
        end
        sorted(largest, "bytes_delta", math.abs)
        rows = first(largest, limit)
        sort(rows, function(a, b) return place[a] < place[b] end)
    elseif o.sort == "key" then
        sort(rows, by_key)
    elseif DELTA_SORTS[o.sort] then
        sorted(rows, o.sort)
    else
        error("d:print can sort by bytes_delta, count_delta, bytes, count or key", 2)
    end
    local lines = {}
    for i = 1, math.min(limit, total) do
        lines[i] = delta_line(rows[i])
    end
    lay(delta_header(by), lines)
    finish(#lines, total, estimated)
end

-- ---- growth ------------------------------------------------------------------------------------

-- Highest figures so far: [script][by][key] = {count=, bytes=}. objgraph's rule: a row has grown
-- when it counts more than it ever did, so what swings up and down is not reported twice. Of
-- estimates it must be more by as much as the two may be wrong by together.
local highest = {}

local function together(a, b)
    return a and b and (a * a + b * b) ^ 0.5 // 1 | 0
end

local GROWTH_OPTIONS = { by = true, limit = true }

-- What was counted by another recording is no baseline.
local function baseline(script, by, recording)
    local of_script = highest[script] or {}
    highest[script] = of_script
    if not of_script[by] or of_script[by].recording ~= recording then
        of_script[by] = { recording = recording, peaks = {} }
    end
    return of_script[by].peaks
end

local function grown(o, script)
    local by = o.by or "type"
    local s <close> = assert(heap.snapshot { graph = false })
    local before = baseline(script, by, s.recording)
    local rows = {}
    for _, row in ipairs(s:by(by):rows()) do
        local key, count, bytes = row.key, row.count, row.bytes
        local peak = before[key]
        if not peak then
            peak = { count = 0, bytes = 0 }
            before[key] = peak
        end
        local count_error, bytes_error = row.count_error, row.bytes_error
        local doubt = peak.count == 0 and 0 or together(count_error, peak.count_error or 0)
        if count > peak.count + (doubt or 0) then
            rows[#rows + 1] = {
                key = key, count = count, bytes = bytes,
                count_delta = count - peak.count, bytes_delta = bytes - peak.bytes,
                count_error = count_error, bytes_error = bytes_error,
                count_delta_error = together(count_error, peak.count_error or 0),
                bytes_delta_error = together(bytes_error, peak.bytes_error or 0),
            }
            peak.count, peak.bytes = count, bytes
            peak.count_error, peak.bytes_error = count_error, bytes_error
        end
    end
    sort(rows, function(a, b)
        if a.bytes_delta ~= b.bytes_delta then
            return a.bytes_delta > b.bytes_delta
        elseif a.count_delta ~= b.count_delta then
            return a.count_delta > b.count_delta
        end
        return a.key < b.key
    end)
    return rows, s.estimated
end

--- heap.growth{by="type", limit=nil}: rows that counted more than ever before in this script.
function heap.growth(o)
    o = options(o, GROWTH_OPTIONS)
    local rows = grown(o, current_script())
    return o.limit and first(rows, o.limit) or rows
end

--- heap.show_growth{by="type", limit=10}: prints that, and returns how many rows grew.
function heap.show_growth(o)
    o = options(o, GROWTH_OPTIONS)
    local rows, estimated = grown(o, current_script())
    if #rows == 0 then
        print("nothing grew")
        return 0
    end
    local lines = {}
    for i = 1, math.min(o.limit or DEFAULT_LIMIT, #rows) do
        lines[i] = delta_line(rows[i])
    end
    local by = o.by or "type"
    lay(delta_header(type(by) == "string" and by or "key"), lines)
    finish(#lines, #rows, estimated)
    return #rows
end
