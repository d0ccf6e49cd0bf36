/* SPDX-License-Identifier: MIT
 *
 * timer.c - when a run is due without anybody asking: heap.every and heap.pressure.
 *
 * Context: pure.
 * Invariant: the host has one timer; it fires as often as the more impatient of the two needs, and
 * script_tick sorts out which of them, if any, is due.
 * Why crossings: a level that stays above its bound would run the script again and again. It is
 * reported once, and again only after it has been below.
 */
#include "state.h"

#define POLL_NS 1000000000ull

static bool watches(const struct script_timer *t)
{
    return t->live_bytes || t->rss_bytes || t->growth_bytes;
}

static void arm(struct script *s)
{
    struct script_timer *t = &s->timer;
    u64 ns = t->every_ns;
    if (watches(t) && (!ns || ns > POLL_NS))
        ns = POLL_NS;
    s->host.every(s->host.context, ns);
}

void script_timer_every(struct script *s, u64 ns)
{
    s->timer.every_ns = ns;
    s->timer.due_ns = sys_monotonic_ns() + ns;
    arm(s);
}

bool script_timer_pressure(struct script *s, u64 live_bytes, u64 rss_bytes, u64 growth_bytes,
                           struct err *e)
{
    struct script_timer *t = &s->timer;
    struct host_stats now = {0};
    if (!s->host.stats(s->host.context, &now, e))
        return false;
    bool same =
        t->live_bytes == live_bytes && t->rss_bytes == rss_bytes && t->growth_bytes == growth_bytes;
    if (same) /* each run says it again */
        return true;
    t->live_bytes = live_bytes;
    t->rss_bytes = rss_bytes;
    t->growth_bytes = growth_bytes;
    t->growth_from = now.live_bytes;
    t->live_above = t->rss_above = false;
    arm(s);
    return true;
}

static bool crossed(u64 level, u64 bound, bool *above)
{
    bool was = *above;
    *above = bound && level >= bound;
    return *above && !was;
}

static bool pressed(struct script *s)
{
    struct script_timer *t = &s->timer;
    struct host_stats now = {0};
    struct err e;
    if (!watches(t) || !s->host.stats(s->host.context, &now, &e))
        return false;
    bool live = crossed(now.live_bytes, t->live_bytes, &t->live_above);
    bool rss = crossed(now.rss_bytes, t->rss_bytes, &t->rss_above);
    bool growth = t->growth_bytes && now.live_bytes >= t->growth_from + t->growth_bytes;
    if (growth)
        t->growth_from = now.live_bytes;
    return live || rss || growth;
}

const char *script_tick(struct script *s)
{
    struct script_timer *t = &s->timer;
    u64 now = sys_monotonic_ns();
    if (pressed(s))
        return "pressure";
    /* Half a poll of slack: ticks do not come to the nanosecond. */
    if (!t->every_ns || (watches(t) && now + POLL_NS / 2 < t->due_ns))
        return NULL;
    t->due_ns = now + t->every_ns;
    return "timer";
}
