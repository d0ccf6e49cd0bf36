/* SPDX-License-Identifier: MIT
 *
 * Tests of what a guest may use, and what it is told about the rest.
 */
#include "fake.h"

static void what_is_refused_says_so(void **state)
{
    (void)state;
    fake_fails(&f, "os.exit(0)", "debug_script.lua:1: os.exit is not available in a Moonheap script");
    fake_fails(&f, "os.execute 'true'", "os.execute is not available");
    fake_fails(&f, "io.popen 'true'", "io.popen is not available");
    fake_fails(&f, "os.setlocale 'C'", "os.setlocale is not available");
    fake_fails(&f, "os.tmpname()", "os.tmpname is not available");
    fake_fails(&f, "io.read()", "io.read is not available");
    fake_fails(&f, "io.lines()", "value expected");
    fake_fails(&f, "io.close()", "value expected");
    fake_fails(&f, "string.dump(print)", "string.dump is not available");
    fake_fails(&f, "package.loadlib('x', '*')", "package.loadlib is not available");
}

/* The closed set of globals: who adds one thinks about it here. */
static void the_globals(void **state)
{
    (void)state;
    fake_prints(&f, "local t = {} for k in pairs(_G) do t[#t + 1] = k end table.sort(t) "
                    "print(table.concat(t, ' '))",
                "_G _VERSION args assert collectgarbage coroutine data debug dofile error "
                "getmetatable heap io ipairs load loadfile math next os package pairs pcall print "
                "printf rawequal rawget rawlen rawset require run select setmetatable string "
                "table tonumber tostring type utf8 warn xpcall\n");
    fake_prints(&f, "local t = {} for k in pairs(debug) do t[#t + 1] = k end table.sort(t) "
                    "print(table.concat(t, ' '), _G == _ENV, package.loaded.string == string)",
                "getinfo traceback\ttrue\ttrue\n");
}

static void bytecode(void **state)
{
    (void)state;
    fake_fails(&f, "\x1bLua and so on", "it is compiled Lua (bytecode); Moonheap runs source text only");
    fake_prints(&f, "print(load('\\x1bLua'))",
                "nil\tcannot load the chunk: it is compiled Lua (bytecode); Moonheap runs source "
                "text only\n");
    fake_prints(&f, "print(load('\\x1bLua', 'x', 'b'))",
                "nil\tcannot load the chunk: it is compiled Lua (bytecode); Moonheap runs source "
                "text only\n");
    fake_prints(&f, "local done print(load(function() if not done then done = 1 return '\\x1bLua' "
                    "end end, 'x', 'b'))",
                "nil\tattempt to load a binary chunk (mode is 't')\n");
}

static void load_and_friends(void **state)
{
    (void)state;
    char script[400];
    fake_prints(&f, "x = 5 print(load('return x')(), load('return x', 'n', 't', {x = 6})())",
                "5\t6\n");
    fake_prints(&f, "print(load('x ='))", "nil\t[string \"x =\"]:1: unexpected symbol near <eof>\n");
    fake_write(&f, "part.lua", "y = (y or 0) + 1 return 'part', y");
    snprintf(script, sizeof script,
             "local path = '%s/part.lua'\n"
             "print(dofile(path)) print(loadfile(path)()) print(loadfile(path, 't', {})())\n"
             "print((loadfile(path .. 'x')))\n", f.folder);
    fake_prints(&f, script, "part\t1\npart\t2\npart\t1\nnil\n");
    snprintf(script, sizeof script, "dofile '%s/none.lua'", f.folder);
    fake_fails(&f, script, "No such file");
    fake_write(&f, "waits.lua", "return heap.wait()");
    snprintf(script, sizeof script, "print(dofile '%s/waits.lua')", f.folder);
    fake_prints(&f, script, "");
    assert_string_equal(fake_again(&f), "signal\n");
}

static void output(void **state)
{
    (void)state;
    fake_prints(&f, "print(1, nil, 'x', true) print() print(setmetatable({}, {__tostring = "
                    "function() return 'T' end}))", "1\tnil\tx\ttrue\n\nT\n");
    fake_prints(&f, "printf('%5.1f|%s|%d', 1.25, 'a', 3)", "  1.2|a|3");
    fake_fails(&f, "printf('%d', 'x')", "number expected");
    fake_prints(&f, "io.write('a', 1, 'b') io.stdout:write('c'):write('d') io.stderr:write('e')",
                "a1bcde");
    fake_prints(&f, "warn('one', ' two')", "Lua warning: one two\n");
    fake_prints(&f, "print(('x'):rep(100000):len()) io.write(('y'):rep(10))", "100000\nyyyyyyyyyy");
}

static void files(void **state)
{
    (void)state;
    char script[500];
    snprintf(script, sizeof script,
             "local name = '%s/report.txt'\n"
             "local h <close> = assert(io.open(name, 'w'))\n"
             "h:write('one\\n', 'two\\n')\n"
             "for line in io.lines(name) do print(line) end\n"
             "print(io.type(h), io.open('/no/such/file'))\n"
             "print(os.rename(name, name .. '.old'), os.remove(name .. '.old'))\n", f.folder);
    fake_prints(&f, script, "one\ntwo\nfile\tnil\t/no/such/file: No such file or directory\t2\n"
                            "true\ttrue\n");
}

static void calls_of_lua_as_they_are(void **state)
{
    (void)state;
    fake_prints(&f, "print(xpcall(function(a) return a, 2 end, print, 1))", "true\t1\t2\n");
    fake_prints(&f, "print(xpcall(error, function(m) return m .. '!' end, 'x'))", "false\tx!\n");
    fake_fails(&f, "xpcall(print)", "function expected");
    fake_prints(&f, "local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) "
                    "error('e' .. c, 0) end)\n"
                    "print(coroutine.resume(co, 1, 2)) print(coroutine.resume(co, 'x'))\n"
                    "print(coroutine.status(co), coroutine.resume(co))\n",
                "true\t3\nfalse\tex\ndead\tfalse\tcannot resume dead coroutine\n");
    fake_prints(&f, "for a, b in coroutine.wrap(function() coroutine.yield(1, 2) "
                    "coroutine.yield(3, 4) end) do print(a, b) end", "1\t2\n3\t4\n");
    fake_prints(&f, "print(xpcall(function() return heap.wait() end, print))", "");
    assert_string_equal(fake_again(&f), "true\tsignal\n");
    fake_fails(&f, "setmetatable(1, {})", "table expected");
    fake_fails(&f, "setmetatable(setmetatable({}, {__metatable = 1}), {})", "protected");
    fake_prints(&f, "print(getmetatable(setmetatable({}, {__index = 1})).__index)", "1\n");
}

/* Nothing that a script can do to its library tables reaches the next run, or the API's own Lua. */
static void vandals(void **state)
{
    (void)state;
    fake_prints(&f, "for _, lib in pairs {string, table, math, io, os, coroutine, heap, utf8, "
                    "debug, package} do for k in pairs(lib) do lib[k] = nil end end\n"
                    "local g, each = _G, pairs for k in each(g) do g[k] = nil end", "");
    fake_prints(&f, "print(string.upper 'x', #table.pack(1, 2), heap.show_growth() >= 0, "
                    "require 'heap' == heap)", "nothing grew\nX\t2\ttrue\ttrue\n");
    fake_prints(&f, "string.format, table.sort, table.concat, string.rep = nil\n"
                    "heap.snapshot():by('type'):print()", "type  count  bytes\n");
    fake_prints(&f, "collectgarbage('stop') collectgarbage('generational')", "");
    fake_prints(&f, "print(collectgarbage('isrunning'), collectgarbage('incremental'))",
                "true\tincremental\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_test(what_is_refused_says_so),
        fake_test(the_globals),
        fake_test(bytecode),
        fake_test(load_and_friends),
        fake_test(output),
        fake_test(files),
        fake_test(calls_of_lua_as_they_are),
        fake_test(vandals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
