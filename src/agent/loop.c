/* SPDX-License-Identifier: MIT
 *
 * loop.c - the agent thread: sleeps on one futex, runs the script when woken.
 *
 * Context: agent.
 * Invariant: it reads the counters before it looks, and sleeps only while `wakes` is still what it
 * read, so nothing that comes during a run is lost: however many signals come, they make one more. All state of the loop lies on its stack
 * and in the private heap, so a forked child, which has neither thread, begins with nothing.
 */
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "agent.h"

enum {
    LISTEN_AGAIN_MS = 100,
    LOOK_AGAIN_MS = 1000,
    CREATOR_NAP_NS = 50000,
    CREATOR_NAPS = 2000,
};

struct loop {
    struct agent_live live;
    struct host host;
    struct script *script;
    u64 runs, last_run_ns;
    u64 every_ns, tick_ns; /* the timer as it is set, and when it fires next */
    u64 resume_ns;         /* when heap.wait(seconds) is over; 0 = no limit */
    bool listening_soon;   /* a signal was left to the program: listen again before long */
};

static u64 earlier(u64 a, u64 b)
{
    return !a ? b : !b ? a : a < b ? a : b;
}

static bool have_script(struct loop *l, struct err *e)
{
    struct script_limits limits = {.timeout_ns = agent.options.script_timeout_ns,
                                   .memory_bytes = agent.options.lua_memory,
                                   .every_ns = agent.options.every_ns};
    if (!l->script)
        l->script = script_create(&l->host, &limits, e);
    return l->script != NULL;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static size_t format_ms(char *out, size_t size, u64 ns)
{
    u64 tenths = (ns + 50000) / 100000;
    return tenths < 100 ? text_format(out, size, "%ju.%ju", tenths / 10, tenths % 10)
                        : text_format(out, size, "%ju", (tenths + 5) / 10);
}

static void print_notes(struct agent_output *o)
{
    char note[200];
    while (log_take(note, sizeof note))
        agent_output_format(o, "moonheap: %s\n", note);
}

/* One run with its frame. */
static struct script_outcome run_framed(struct loop *l, const char *path, const char *cause,
                                        int connection)
{
    struct agent_output output;
    struct script_outcome outcome = {0};
    struct err e;
    char took_text[24], pause_text[24];
    u64 began = sys_monotonic_ns();
    struct script_run run = {.path = path,
                             .cause = cause,
                             .args = agent.options.args,
                             .pid = sys_getpid(),
                             .n = ++l->runs,
                             .elapsed_ns = l->last_run_ns ? began - l->last_run_ns : 0};
    l->last_run_ns = began;
    agent_output_begin(&output, connection);
    l->live.output = &output;
    agent_output_format(&output, "DBG>> %.200s run %ju, pid %d\n", file_name(path), run.n,
                        run.pid);
    print_notes(&output);
    if (have_script(l, &e))
        outcome = script_run(l->script, &run);
    else
        agent_output_format(&output, "%s\n", e.text);
    if (output.last != '\n')
        agent_output_write(&output, "\n", 1);
    trigger_settle();
    u64 took = sys_monotonic_ns() - began;
    format_ms(took_text, sizeof took_text, took);
    format_ms(pause_text, sizeof pause_text, outcome.pause_ns);
    agent_output_format(&output, "<<DBG %s ms, paused %s ms\n", took_text, pause_text);
    agent_output_end(&output);
    l->live.output = NULL;
    if (connection >= 0)
        agent_answer_end(connection, outcome.ok, took, outcome.pause_ns);
    return outcome;
}

/* The timer that the script set, if it set another one. */
static void follow_timer(struct loop *l)
{
    if (l->live.every_ns == l->every_ns)
        return;
    l->every_ns = l->live.every_ns;
    l->tick_ns = l->every_ns ? sys_monotonic_ns() + l->every_ns : 0;
}

static void run_main(struct loop *l, const char *cause, int connection)
{
    struct script_outcome outcome = run_framed(l, agent.script, cause, connection);
    l->resume_ns = outcome.waiting && outcome.wait_ns ? sys_monotonic_ns() + outcome.wait_ns : 0;
    follow_timer(l);
}

/* Serves every moonheap_run that waits, oldest first. */
static void run_checkpoints(struct loop *l)
{
    struct agent_checkpoint *taken = __atomic_exchange_n(&agent.checkpoints, NULL,
                                                         __ATOMIC_ACQUIRE);
    struct agent_checkpoint *oldest = NULL;
    while (taken) {
        struct agent_checkpoint *next = taken->next;
        taken->next = oldest;
        oldest = taken;
        taken = next;
    }
    while (oldest) {
        struct agent_checkpoint *next = oldest->next; /* gone as soon as it is done */
        oldest->verdict = run_framed(l, oldest->script, "checkpoint", -1).ok ? 0 : 1;
        follow_timer(l);
        RELEASE(&oldest->done, 1);
        sys_futex_wake(&oldest->done, 1);
        oldest = next;
    }
}

static void run_signalled(struct loop *l)
{
    int connection = agent_answer_begin();
    run_main(l, connection >= 0 ? "request" : "signal", connection);
}

static void run_timers(struct loop *l)
{
    struct err e;
    u64 now = sys_monotonic_ns();
    if (l->resume_ns && now >= l->resume_ns) {
        run_main(l, "timer", -1);
    } else if (l->tick_ns && now >= l->tick_ns) {
        l->tick_ns = now + l->every_ns;
        const char *cause = have_script(l, &e) ? script_tick(l->script) : NULL;
        if (cause)
            run_main(l, cause, -1);
    }
}

/* Nanoseconds until something is due, 0 for never. */
static u64 sleep_ns(const struct loop *l)
{
    u64 due = earlier(l->resume_ns, l->tick_ns), now = sys_monotonic_ns(), cost;
    if (agent_held_look(&cost))
        due = earlier(due, now + LOOK_AGAIN_MS * 1000000UL);
    if (l->listening_soon)
        due = earlier(due, now + LISTEN_AGAIN_MS * 1000000UL);
    return !due ? 0 : due > now ? due - now : 1;
}

/* The thread that makes this one is in the middle of that, where nothing tells its stack: it is let
 * out before a script can look. It may be held up there by others, so not for ever. */
static void let_creator_out(void)
{
    struct timespec nap = {.tv_nsec = CREATOR_NAP_NS};
    for (u32 i = 0; i < CREATOR_NAPS && ACQUIRE(&agent.state) == AGENT_STARTING; i++)
        sys_call(SYS_nanosleep, &nap, 0, 0);
}

void *agent_loop(void *unused)
{
    struct loop l = {0};
    u32 handled = 0;
    (void)unused;
    track_become_agent(agent.heap);
    prctl(PR_SET_NAME, "moonheap");
    agent_live_host(&l.live, &l.host);
    l.live.every_ns = agent.options.every_ns;
    follow_timer(&l);
    trigger_own_thread();
    let_creator_out();
    for (;;) {
        u32 wakes = ACQUIRE(&agent.wakes), signals = ACQUIRE(&agent.signals);
        run_checkpoints(&l);
        if (signals != handled) {
            handled = signals;
            run_signalled(&l);
        }
        run_timers(&l);
        l.listening_soon = trigger_listen();
        sys_futex_wait(&agent.wakes, wakes, sleep_ns(&l));
    }
    return NULL;
}
