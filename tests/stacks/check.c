/* SPDX-License-Identifier: MIT
 *
 * check.c - linked over walk_capture (ld's --wrap): after each capture asks libunwind for the same
 * stack, and compares frame by frame. At the end of the process it writes one line to stderr:
 *     stacks N differences M slips S overruled O judged J misjudged W
 * with the first few differences before it.
 *
 * Context: hot, but for a test: it is slow, and libunwind takes the loader's lock.
 * Who is right when two differ: unw_backtrace remembers what it learnt of an address, also when it
 * is at once a return address and an interrupted instruction, and when other code lies there by now.
 * So libunwind is asked a second time, step by step and without what it remembers; if that is our
 * stack, the first answer was a slip. Once code has been unloaded it is asked only that way, for the
 * first one then reads what need not be there. A program that knows its own calls (generated/)
 * hands in a judge, which sees every stack; where libunwind's is wrong by it and ours is right,
 * libunwind is overruled.
 */
#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <libunwind.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "track/trie.h"
#include "track/walk.h"

enum { DEEP = 2048, SHOWN = 3, TEXT = 2 };
/* DOUBTFUL: less likely to be right than a stack that is judged RIGHT at that moment. */
enum verdict { NO_OPINION = -1, WRONG = 0, RIGHT = 1, DOUBTFUL = 2 };

typedef int judge_function(const u64 *pcs, u32 count, bool cut);

u32 __real_walk_capture(struct thread *t, const struct walk_origin *origin);
u32 __wrap_walk_capture(struct thread *t, const struct walk_origin *origin);
/* From here on each stack is shown to `judge` (enum verdict), on the thread that it is of. */
EXPORT void moonheap_stack_check_judge(judge_function *judge);

static u64 stacks, differences, slips, overruled, judged, misjudged;
static judge_function *judge_of_all;
static __thread bool inside;
static bool asked; /* one at a time: what it remembers is switched off for all at once */

static struct {
    int (*backtrace)(void **, int);
    int (*context)(unw_context_t *);
    int (*begin)(unw_cursor_t *, unw_context_t *);
    int (*step)(unw_cursor_t *);
    int (*reg)(unw_cursor_t *, unw_regnum_t, unw_word_t *);
    int (*caching)(unw_addr_space_t, unw_caching_policy_t);
    unw_addr_space_t *space;
} reference;

struct stack {
    u64 pcs[STACK_LIMIT_MAX];
    u32 count;
    bool cut;
};

void moonheap_stack_check_judge(judge_function *judge)
{
    judge_of_all = judge;
}

static void say(const char *text, size_t bytes)
{
    sys_write_all(TEXT, text, bytes, 1000);
}

static COLD void load(void)
{
    static const char *const names[] = {"unw_backtrace",
                                        "_Ux86_64_getcontext",
                                        "_ULx86_64_init_local",
                                        "_ULx86_64_step",
                                        "_ULx86_64_get_reg",
                                        "_ULx86_64_set_caching_policy",
                                        "_ULx86_64_local_addr_space"};
    void *library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    void *found[COUNT_OF(names)];
    _Static_assert(sizeof found == sizeof reference, "a place for each");
    for (u32 i = 0; i < COUNT_OF(names); i++)
        if (!library || !(found[i] = dlsym(library, names[i]))) {
            static const char message[] = "stack check: no libunwind to compare with\n";
            say(message, sizeof message - 1);
            _Exit(1);
        }
    memcpy(&reference, found, sizeof reference);
}

static struct stack ours(u32 node)
{
    struct stack s = {0};
    for (; node; node = track_node(node).parent) {
        s.cut = track_node(node).cut;
        s.pcs[s.count++] = track_node(node).pc;
    }
    return s;
}

/* What of a whole stack belongs to the caller of the hooked function, as far as it is kept. */
static struct stack clip(void **pcs, u32 all, u64 from)
{
    struct stack s = {0};
    u32 first = 0;
    while (first < all && (u64)pcs[first] != from)
        first++;
    s.cut = all - first > walk_limit;
    s.count = s.cut ? walk_limit : all - first;
    for (u32 i = 0; i < s.count; i++)
        s.pcs[i] = (u64)pcs[first + i] & 0xffffffffffff;
    return s;
}

static struct stack quickly(u64 from)
{
    void *pcs[DEEP];
    return clip(pcs, (u32)reference.backtrace(pcs, DEEP), from);
}

static NOINLINE struct stack thoroughly(u64 from)
{
    void *pcs[DEEP];
    u32 n = 0;
    unw_context_t context;
    unw_cursor_t cursor;
    unw_word_t pc;
    reference.caching(*reference.space, UNW_CACHE_NONE);
    reference.context(&context);
    reference.begin(&cursor, &context);
    while (n < DEEP && reference.step(&cursor) > 0 &&
           reference.reg(&cursor, UNW_X86_64_RIP, &pc) == 0 && pc)
        pcs[n++] = (void *)pc;
    reference.caching(*reference.space, UNW_CACHE_GLOBAL);
    return clip(pcs, n, from);
}

static int count_unloads(struct dl_phdr_info *info, size_t size, void *unloads)
{
    (void)size;
    *(unsigned long long *)unloads = info->dlpi_subs;
    return 1;
}

/* unw_backtrace follows what it remembers of code that has been unloaded, off the stack too. */
static bool may_ask_quickly(void)
{
    unsigned long long unloads = 0;
    dl_iterate_phdr(count_unloads, &unloads);
    return unloads == 0;
}

static bool same(const struct stack *a, const struct stack *b)
{
    return a->count == b->count && memcmp(a->pcs, b->pcs, a->count * sizeof a->pcs[0]) == 0;
}

static int holds_code(struct dl_phdr_info *info, size_t size, void *address)
{
    (void)size;
    for (u32 i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) &&
            *(u64 *)address - info->dlpi_addr - p->p_vaddr < p->p_memsz)
            return 1;
    }
    return 0;
}

/* A return address lies in a file's code. libunwind 1.6 takes the place of one that is kept in a
 * register for the address itself. */
static bool possible(struct stack s)
{
    for (u32 i = 0; i < s.count; i++)
        if (!dl_iterate_phdr(holds_code, &s.pcs[i]))
            return false;
    return true;
}

static enum verdict judge(const struct stack *s)
{
    judge_function *f = PEEK(&judge_of_all);
    return f ? (enum verdict)f(s->pcs, s->count, s->cut) : NO_OPINION;
}

static void show(const char *title, const struct stack *a, const struct stack *b)
{
    char line[400];
    say(line, text_format(line, sizeof line, "%s: ours | libunwind's\n", title));
    for (u32 i = 0; i < a->count || i < b->count; i++) {
        Dl_info left = {0}, right = {0};
        u64 l = i < a->count ? a->pcs[i] : 0, r = i < b->count ? b->pcs[i] : 0;
        dladdr((void *)l, &left);
        dladdr((void *)r, &right);
        say(line, text_format(line, sizeof line, "  %lx %s | %lx %s\n", l,
                              left.dli_sname ? left.dli_sname : "", r,
                              right.dli_sname ? right.dli_sname : ""));
    }
}

static u64 count(u64 *counter)
{
    return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void compare(u32 node, u64 from)
{
    while (__atomic_exchange_n(&asked, true, __ATOMIC_ACQUIRE))
        sys_call(SYS_sched_yield, 0, 0, 0);
    bool quick = may_ask_quickly();
    struct stack mine = ours(node), theirs = quick ? quickly(from) : thoroughly(from);
    bool equal = same(&mine, &theirs);
    if (!equal && quick) {
        theirs = thoroughly(from);
        equal = same(&mine, &theirs);
        if (equal)
            count(&slips);
    }
    __atomic_store_n(&asked, false, __ATOMIC_RELEASE);
    enum verdict of_mine = judge(&mine);
    count(&stacks);
    if (of_mine != NO_OPINION)
        count(&judged);
    if (of_mine == WRONG && count(&misjudged) < SHOWN)
        show("wrong by the program", &mine, &theirs);
    if (equal)
        return;
    enum verdict of_theirs = judge(&theirs);
    bool absurd = of_theirs != NO_OPINION && (of_theirs == WRONG || !possible(theirs));
    if ((absurd && of_mine != WRONG && possible(mine)) ||
        (of_mine == RIGHT && of_theirs == DOUBTFUL))
        count(&overruled);
    else if (count(&differences) < SHOWN)
        show("different", &mine, &theirs);
}

u32 __wrap_walk_capture(struct thread *t, const struct walk_origin *origin)
{
    u32 node = __real_walk_capture(t, origin);
    if (inside)
        return node;
    inside = true;
    if (!reference.space)
        load();
    compare(node, origin->pc);
    inside = false;
    return node;
}

__attribute__((destructor)) static void report(void)
{
    char line[200];
    say(line, text_format(line, sizeof line,
                          "stacks %lu differences %lu slips %lu overruled %lu judged %lu "
                          "misjudged %lu\n",
                          stacks, differences, slips, overruled, judged, misjudged));
}
