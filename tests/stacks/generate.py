# SPDX-License-Identifier: MIT
"""generate.py - writes random C, C++ and assembly whose call stacks are hard to follow.

Context: test. Each ingredient below is a function of the type `step` (generated/world.h) or a few;
a unit is a file of many of them, chosen and varied by a seeded generator.
Invariant: a function is numbered gN and says its number when it begins, so the program knows its
own chain of calls.
A program whose draw.mild is set has none of the frames for which the recorder walks the slow way;
with a few of these on nearly every stack, the fast way would hardly be tried.
"""

import itertools

HEAD = {
    "c": '#define _GNU_SOURCE\n#include <alloca.h>\n#include <stdarg.h>\n#include <stdio.h>\n'
         '#include "world.h"\n\n',
    "cpp": '#include <algorithm>\n#include <functional>\n#include <map>\n#include <memory>\n'
           '#include <stdexcept>\n#include <string>\n#include <vector>\n#include "world.h"\n\n',
}


class Unit:
    """A source file: text and the names of the steps that it offers."""

    def __init__(self, draw, numbers, kind):
        self.draw, self.numbers, self.kind = draw, numbers, kind
        self.text, self.steps = [], []

    def number(self):
        return next(self.numbers)

    def add(self, text, *steps):
        self.text.append(text)
        self.steps += steps

    def fill(self, ingredients, count):
        chosen = list(ingredients)  # each at least once when there is room
        self.draw.shuffle(chosen)
        for ingredient in itertools.islice(itertools.cycle(chosen), count):
            ingredient(self)

    def source(self, offer=True):
        linkage = 'extern "C" ' if self.kind == "cpp" else ""
        declared = "".join(f"{linkage}step {name};\n" for name in self.steps)
        listed = ", ".join(self.steps)
        how = ("static step *const offered[] = {%s};\n__attribute__((constructor)) static void "
               "offer(void)\n{\n    world_offer(offered, %d);\n}\n" if offer else
               "step *plugin_steps[] = {%s};\nunsigned plugin_step_count = %d;\n")
        return (HEAD[self.kind] + declared + "\n" + "\n".join(self.text) + "\n"
                + how % (listed, len(self.steps)))


def probe(draw):
    return draw.choice([
        "PROBE(malloc({0}));", "PROBE(calloc({0}, 3));", "PROBE(realloc(NULL, {0}));",
        "PROBE(realloc(malloc({0}), 700));", "PROBE(aligned_alloc(64, 64 * {0}));",
        'PROBE(strdup("a text"));', "PROBE(malloc({0}));"]).format(draw.randrange(1, 200))


def body(draw, least=1):
    """Some probes and calls."""
    lines = []
    for _ in range(draw.randrange(least, 4)):
        lines.append("CALL();")
        if draw.random() < 0.4:
            lines.append(probe(draw))
        if draw.random() < 0.1 and not draw.mild:
            lines.append("if (MAY_CALL()) { world_raise(w); BACK(); }")
        if draw.random() < 0.1 and not draw.mild:
            lines.append("if (MAY_CALL()) { TRAP(); BACK(); }")
    draw.shuffle(lines)
    return " ".join([probe(draw)] + lines)


def define(unit, text, before=""):
    """A step around `text`, in which {id} is its number."""
    n = unit.number()
    linkage = 'extern "C" ' if unit.kind == "cpp" else ""
    unit.add(f"{before}{linkage}OPAQUE unsigned long g{n}(struct world *w, unsigned depth)\n"
             f"{{\n    ENTER({n});\n    {text}\n    return sum + level;\n}}\n", f"g{n}")
    return n


# --- C ---------------------------------------------------------------------------------------

def plain(unit):
    define(unit, body(unit.draw))


def with_alloca(unit):
    d = unit.draw
    define(unit, f"char *p = (char *)alloca(world_draw(w, {d.choice([40, 400, 4000])}) + 1);\n"
                 f"    p[0] = 1; __asm__ volatile(\"\" ::\"r\"(p) : \"memory\");\n"
                 f"    {body(d)}\n    sum += (unsigned long)p[0];")


def with_array(unit):
    d = unit.draw
    define(unit, f"unsigned n = 1 + world_draw(w, {d.choice([9, 90, 900])});\n"
                 f"    volatile long array[n]; array[n - 1] = 2; array[0] = 1;\n    {body(d)}\n"
                 f"    for (unsigned i = 0; i < 2; i++) {{ volatile char more[8 + n * i];"
                 f" more[0] = 1; {body(d)} sum += (unsigned long)more[0]; }}\n"
                 f"    sum += (unsigned long)array[n - 1];")


def with_many_values(unit):
    d = unit.draw
    names = [f"v{i}" for i in range(d.randrange(6, 14))]
    made = " ".join(f"unsigned long {n} = w->random * {d.randrange(3, 99)}u + depth;"
                    for n in names)
    used = " ".join(f"sum += {n};" for n in names)
    define(unit, f"{made}\n    {body(d)}\n    {used} {body(d)}\n    {used}")


def realigned(unit):
    d = unit.draw
    with_it = "char *q = (char *)alloca(world_draw(w, 99) + 1); q[0] = 1; " \
              "__asm__ volatile(\"\" ::\"r\"(q) : \"memory\");" if d.random() < 0.5 else ""
    define(unit, f"_Alignas({d.choice([32, 64, 128, 4096])}) volatile char block[64]; block[0] = 1;"
                 f"\n    {with_it} {body(d)}\n    sum += (unsigned long)block[0];")


def by_varargs(unit):
    d, n = unit.draw, unit.number()
    unit.add(f"static OPAQUE unsigned long g{n}(struct world *w, ...)\n{{\n    va_list list;\n"
             f"    va_start(list, w);\n    unsigned depth = va_arg(list, unsigned);\n"
             f"    double f = va_arg(list, double);\n    va_end(list);\n    ENTER({n});\n"
             f"    {body(d)}\n    return sum + (unsigned long)f + level;\n}}\n")
    define(unit, f"CALL_THIS(g{n}(w, depth, 2.5, 3, 4, 5, 6, 7)); {body(d)}")


def by_many_arguments(unit):
    d, n = unit.draw, unit.number()
    count = d.randrange(5, 14)
    inner = ", ".join(f"unsigned long a{i}" for i in range(count))
    used = " ".join(f"sum += a{i};" for i in range(count))
    unit.add(f"static OPAQUE unsigned long g{n}(struct world *w, unsigned depth, {inner})\n{{\n"
             f"    ENTER({n});\n    {body(d)}\n    {used}\n    return sum + level;\n}}\n")
    given = ", ".join(d.choice(["w->random", "depth", "1", "sum"]) for _ in range(count))
    define(unit, f"CALL_THIS(g{n}(w, depth, {given})); {probe(d)} CALL_THIS(g{n}(w, 0, {given}));")


def with_tail_call(unit):
    d, n = unit.draw, unit.number()
    unit.add(f"OPAQUE unsigned long g{n}(struct world *w, unsigned depth)\n{{\n"
             f"    unsigned level = world_enter(w, {n} | SHADOW_MAYBE);\n    {probe(d)}\n"
             f"    if (depth == 0 || w->budget-- <= 0 || level > w->now->limit)\n"
             f"        return level;\n"
             f"    return world_pick(w)(w, depth - 1);\n}}\n", f"g{n}")


def shifting(unit):
    """A frame found through rbp that moves while the frames around it stay where they are: what it
    left behind at its former place looks like a return address that is still there."""
    d = unit.draw
    inner, middle, outer = unit.number(), unit.number(), unit.number()
    step = d.choice([16, 32, 64])
    unit.add(f"static OPAQUE unsigned long g{inner}(struct world *w, unsigned depth)\n{{\n"
             f"    ENTER({inner});\n    PROBE(malloc(20));\n    return sum + level;\n}}\n"
             f"static OPAQUE unsigned long g{middle}(struct world *w, unsigned depth, unsigned n)\n"
             f"{{\n    ENTER({middle});\n    char *p = (char *)alloca({step} * n); p[0] = 1;\n"
             f"    __asm__ volatile(\"\" ::\"r\"(p) : \"memory\");\n"
             f"    CALL_THIS(g{inner}(w, depth));\n    return sum + level;\n}}\n"
             f"static OPAQUE unsigned long g{outer}(struct world *w, unsigned depth, unsigned n)\n"
             f"{{\n    ENTER({outer});\n    char *p = (char *)alloca({step} * n); p[0] = 1;\n"
             f"    __asm__ volatile(\"\" ::\"r\"(p) : \"memory\");\n"
             f"    if (n % 2) {{ CALL_THIS(g{middle}(w, depth, 20 - n));\n"
             f"        __asm__ volatile(\"nop\"); }}\n"
             f"    else {{ CALL_THIS(g{middle}(w, depth, 20 - n)); }}\n"
             f"    return sum + level;\n}}\n")
    define(unit, f"for (unsigned i = 0; i < 12; i++)\n"
                 f"        CALL_THIS(g{outer}(w, depth, 1 + world_draw(w, 18)));\n    {body(d)}")


def through_libc(unit):
    d, n = unit.draw, unit.number()
    unit.add(f"static __thread struct {{ struct world *w; unsigned depth; int once; }} passed{n};\n"
             f"static OPAQUE int g{n}(const void *a, const void *b)\n{{\n"
             f"    struct world *w = passed{n}.w;\n    unsigned depth = passed{n}.depth;\n"
             f"    ENTER({n});\n    {probe(d)}\n    if (passed{n}.once++ == 0) {{ {body(d)} }}\n"
             f"    w->now->top = level - 1;\n"
             f"    return *(const int *)a - *(const int *)b + (int)(sum & 0);\n}}\n")
    call = d.choice([
        f"qsort(numbers, 3, sizeof numbers[0], g{n})",
        f"qsort(numbers, 700, sizeof numbers[0], g{n})",
        f"bsearch(numbers, numbers, 3, sizeof numbers[0], g{n})"])
    define(unit, f"int numbers[700] = {{3, 1, 2}};\n    passed{n}.w = w; passed{n}.depth = depth;"
                 f" passed{n}.once = 0;\n    if (depth > 3) depth = 3;\n"
                 f"    if (MAY_CALL()) {{ {call}; BACK(); }} {probe(d)}")


def with_jump(unit):
    d = unit.draw
    define(unit, f"struct jump here = {{.outer = w->now->jump, .catchers = w->now->catchers,\n"
                 f"        .alternate = w->alternate, .handlers = w->handlers,\n"
                 f"        .borrowed = w->now->borrowed}};\n    struct context *c = w->now;\n"
                 f"    c->jump = &here;\n    if (sigsetjmp(here.buffer, 1) == 0) {{ {body(d)} }}\n"
                 f"    BACK();\n    c->jump = here.outer;\n    {body(d)}")


def leaving(unit):
    d, n = unit.draw, unit.number()
    unit.add(f"static OPAQUE __attribute__((noreturn)) void g{n}(struct world *w, unsigned depth)\n"
             f"{{\n    ENTER({n});\n    {probe(d)} CALL();\n    if (!w->now->jump) abort();\n"
             f"    world_leave(w);\n}}\n")
    define(unit, f"{body(d)}\n    if (!w->now->jump || world_draw(w, 3)) return sum;\n"
                 f"    {probe(d)}\n    g{n}(w, depth);")


def diving(unit):
    d, n = unit.draw, unit.number()
    size = d.choice([16, 64, 300])
    unit.add(f"static OPAQUE unsigned long g{n}(struct world *w, unsigned depth, unsigned more)\n"
             f"{{\n    ENTER({n});\n    volatile char local[{size}]; local[0] = 1;\n"
             f"    if (more % {d.randrange(3, 30)} == 0) {{ {probe(d)} }}\n"
             f"    if (more) CALL_THIS(g{n}(w, depth, more - 1)); else CALL();\n"
             f"    if (more % {d.randrange(9, 40)} == 0) {{ {probe(d)} CALL(); }}\n"
             f"    return sum + (unsigned long)local[0] + level;\n}}\n")
    define(unit, f"if (level < w->now->limit / 4 && world_draw(w, 4) == 0) {{\n"
                 f"        if (depth > 4) depth = 4;\n        CALL_THIS(g{n}(w, depth, world_draw(w, 260))); }}\n"
                 f"    {body(d)}")


def large(unit):
    d = unit.draw
    define(unit, f"if (w->now != &w->first || w->large || w->alternate) return sum;\n"
                 f"    volatile char block[{d.choice([70_000, 600_000])}]; w->large = 1; "
                 f"block[sizeof block / 2] = 1;\n"
                 f"    {body(d)}\n    w->large = 0; sum += (unsigned long)block[sizeof block / 2];")


def resuming(unit):
    define(unit, f"{probe(unit.draw)} if (MAY_CALL()) {{ world_resume(w); BACK(); }}"
                 f" {body(unit.draw)}")


def yielding(unit):
    define(unit, f"{probe(unit.draw)} if (MAY_CALL()) {{ world_yield(w); BACK(); }}"
                 f" {body(unit.draw)}")


def visiting(unit):
    define(unit, f"if (MAY_CALL())\n"
                 f"        CALL_THIS(world_visit(w, depth > 3 ? 3 : depth, level));\n"
                 f"    {body(unit.draw)}")


C = [plain, with_alloca, with_array, with_many_values, realigned, by_varargs, by_many_arguments,
     with_tail_call, shifting, through_libc, with_jump, leaving, diving, large, resuming, yielding,
     visiting]
PLUGIN = [plain, with_alloca, with_array, with_many_values, realigned, by_varargs,
          by_many_arguments, with_tail_call, through_libc, diving]


def lazy(unit):
    """A function of the shared library that is bound at its first call, and its caller."""
    d = unit.draw
    inside, outside = unit.library, unit
    n = inside.number()
    if d.random() < 0.4:  # the function is chosen at the first call, by one that allocates
        chosen = inside.number()
        inside.add(f"static OPAQUE unsigned long g{chosen}(struct world *w, unsigned depth)\n{{\n"
                   f"    ENTER({chosen});\n    {body(d)}\n    return sum + level;\n}}\n"
                   f"static void *resolve{n}(void)\n{{\n    struct world *w = world_self();\n"
                   f"    if (w) {{ {probe(d)} }}\n    return (void *)g{chosen};\n}}\n"
                   f"unsigned long lazy{n}(struct world *w, unsigned depth)"
                   f" __attribute__((ifunc(\"resolve{n}\")));\n")
    else:
        inside.add(f"OPAQUE unsigned long lazy{n}(struct world *w, unsigned depth)\n{{\n"
                   f"    ENTER({n} | SHADOW_MAYBE);\n    {body(d)}\n    return sum + level;\n}}\n")
    outside.add(f"unsigned long lazy{n}(struct world *w, unsigned depth);\n")
    define(outside, f"if (MAY_CALL()) CALL_THIS(lazy{n}(w, depth - 1)); {body(d)}")


# --- C++ -------------------------------------------------------------------------------------

GUARD = """struct Guard {
    struct world *w; unsigned level; bool call;
    ~Guard()
    {
        struct context *c = w->now; struct jump *jump = c->jump; int catchers = c->catchers;
        c->top = level; c->jump = nullptr; c->catchers = 0;
        delete new long[5];
        if (call && w->budget-- > 0 && c->top < c->limit) world_pick(w)(w, 1);
        c->top = level; c->jump = jump; c->catchers = catchers;
    }
};
struct Error : std::runtime_error {
    std::string more;
    explicit Error(unsigned long n) : std::runtime_error("an error with a long text " +
        std::to_string(n)), more(50, 'x') {}
};
"""


def catching(unit):
    d = unit.draw
    what = d.choice(["const std::exception &", "const Error &", "...", "Error &"])
    again = "if (catchers > 0 && world_draw(w, 3) == 0) { c->jump = jump; throw; }"
    guard = f"Guard guard{{w, level, {d.choice(['true', 'false'])}}};" if d.random() < 0.5 else ""
    define(unit, f"struct context *c = w->now; struct jump *jump = c->jump;\n"
                 f"    int catchers = c->catchers, borrowed = c->borrowed;\n    {guard}\n"
                 f"    try {{ c->catchers = catchers + 1; {body(d)} }}\n"
                 f"    catch ({what}) {{ BACK(); c->jump = nullptr;\n"
                 f"        c->catchers = catchers; c->borrowed = borrowed;\n"
                 f"        {probe(d)} std::string text(40, 'c'); CALL();"
                 f" {again if d.random() < 0.6 else ''} }}\n"
                 f"    c->catchers = catchers; c->jump = jump; {body(d)}")


def throwing(unit):
    d = unit.draw
    guard = f"Guard guard{{w, level, {d.choice(['true', 'false'])}}};" if d.random() < 0.6 else ""
    define(unit, f"{guard} std::vector<std::string> kept({d.randrange(1, 4)},"
                 f" std::string(30, 'k'));\n    {body(d)}\n"
                 f"    if (w->now->catchers > 0 && world_draw(w, 3) == 0) throw Error(sum);\n"
                 f"    sum += kept.size();")


def through_templates(unit):
    d = unit.draw
    define(unit, f"std::vector<int> list{{4, 2, 9, 1, 5}}; int once = 0;\n"
                 f"    std::function<bool(int, int)> less = [&](int a, int b) {{\n"
                 f"        if (once++ == 0) {{ {probe(d)} CALL(); }} return a < b; }};\n"
                 f"    std::sort(list.begin(), list.end(), less);\n"
                 f"    std::map<int, std::unique_ptr<std::string>> map;\n"
                 f"    for (int i : list) map[i] = std::make_unique<std::string>(30, 'm');\n"
                 f"    {body(d)} sum += map.size();")


def by_method(unit):
    d, n = unit.draw, unit.number()
    unit.add(f"extern \"C\" unsigned long g{n}(struct world *w, unsigned depth, unsigned size);\n"
             f"struct Base{n} {{ std::string name = std::string(33, 'n'); virtual ~Base{n}() {{}}\n"
             f"    virtual unsigned long run(struct world *w, unsigned depth) = 0; }};\n"
             f"struct Side{n} {{ long value[3]; virtual unsigned long run(struct world *w,"
             f" unsigned depth) = 0; }};\n"
             f"struct Derived{n} : Base{n}, Side{n} {{ unsigned long run(struct world *w,"
             f" unsigned depth) override {{ return g{n}(w, depth, (unsigned)name.size()); }} }};\n"
             f"extern \"C\" OPAQUE unsigned long g{n}(struct world *w, unsigned depth,"
             f" unsigned size)\n{{\n    ENTER({n} | SHADOW_MAYBE);\n    {body(d)}\n"
             f"    return sum + level + size;\n}}\n")
    define(unit, f"{{ std::unique_ptr<Derived{n}> p(new Derived{n}); Side{n} *side = p.get();\n"
                 f"      CALL_THIS(side->run(w, depth)); {probe(d)} }} BACK(); {body(d)}")


CXX = [catching, throwing, through_templates, by_method, plain, with_many_values, with_tail_call,
       with_alloca, catching, throwing]

COROUTINE = """#include <coroutine>
#include <exception>
struct Series {
    struct promise_type {
        unsigned long value = 0;
        Series get_return_object()
        { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(unsigned long v) noexcept { value = v; return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};
/* As it is resumed from here, no jump and no exception may pass it. */
static void advance(struct world *w, const Series &s)
{
    struct context *c = w->now; struct jump *jump = c->jump; int catchers = c->catchers;
    c->jump = nullptr; c->catchers = 0;
    if (!s.handle.done()) s.handle.resume();
    c->jump = jump; c->catchers = catchers;
}
"""


def suspending(unit):
    d, n = unit.draw, unit.number()
    parts = []
    for _ in range(d.randrange(1, 4)):
        parts.append(f"{body(d)}\n        level = (co_yield sum, world_enter(w, {n}));")
    # ENTER's `level` must move: the coroutine may be resumed at another depth of the stack
    unit.add(f"static Series k{n}(struct world *w, unsigned depth)\n{{\n"
             f"    volatile unsigned long sum = 0;\n    unsigned level = world_enter(w, {n});\n"
             f"    for (unsigned i = 0; i < {d.randrange(1, 3)}; i++) {{\n        "
             + "\n        ".join(parts) + "\n    }\n}\n")
    resumed = "\n        ".join(
        f"advance(w, series); BACK(); {body(d) if d.random() < 0.6 else ''}" for _ in range(3))
    define(unit, f"struct context *c = w->now; struct jump *jump = c->jump;\n"
                 f"    int catchers = c->catchers; c->jump = nullptr; c->catchers = 0;\n"
                 f"    if (depth > 4) depth = 4;\n    Series series = k{n}(w, depth);\n"
                 f"    {resumed}\n    series.handle.destroy();\n"
                 f"    c->jump = jump; c->catchers = catchers;")
