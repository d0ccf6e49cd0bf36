/* SPDX-License-Identifier: MIT
 *
 * start.c - the library's constructor: settings, recorder, signal; nothing else exists until the
 * first signal.
 *
 * Context: agent (in the program's main thread, before main).
 * Invariant: after it, no thread, descriptor or socket of ours is there; unless MOONHEAP_EVERY
 * asks for runs by timer, which need the thread from the start.
 */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

struct agent agent;

static void complain(const char *text)
{
    agent_output_complain(text);
}

char *agent_keep_text(const char *format, ...)
{
    char *kept = agent.texts + agent.texts_used;
    size_t room = sizeof agent.texts - agent.texts_used;
    va_list arguments;
    va_start(arguments, format);
    agent.texts_used += 1 + (u32)text_format_va(kept, room < AGENT_PATH_BYTES ? room : AGENT_PATH_BYTES,
                                                format, arguments);
    va_end(arguments);
    return kept;
}

/* A program that changes its directory still finds its script where its user meant it to be. A bare
 * name may stand for a canned script and is left as it is. */
static const char *anchor(const char *path)
{
    char here[AGENT_PATH_BYTES];
    bool relative = path[0] != '/' && strchr(path, '/');
    if (!relative || sys_failed(sys_call(SYS_getcwd, here, sizeof here, 0)))
        return agent_keep_text("%s", path);
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    return agent_keep_text("%s/%s", strcmp(here, "/") ? here : "", path);
}

static void in_forked_child(void)
{
    if (process_mark_check(agent.mark) != PROCESS_SAME) /* a signal may have been quicker */
        agent_forget_parent();
}

__attribute__((constructor)) static void start(void)
{
    struct err e;
    agent_output_prepare();
    options_read(&agent.options, environ, NULL);
    if (!agent.options.quiet)
        options_read(&agent.options, environ, complain);
    agent.script = anchor(agent.options.script);
    agent.out = anchor(agent.options.out);
    agent_catalogs_prepare(environ);
    track_start(&agent.options);
    agent.mark = process_mark_create();
    if (!agent.mark) {
        agent_output_complain("no memory to start with; signals are not answered");
        return;
    }
    track_unseen_begin();
    agent.libc = exported_by_library("libc.so.6");
    agent_books_prepare();
    agent_interrupted_prepare();
    agent_prepare();
    pthread_atfork(NULL, NULL, in_forked_child);
    track_unseen_end();
    if (trigger_start(agent.options.signal, agent_wake, &e))
        sign_post(&agent.options, agent.script);
    else
        agent_output_complain(e.text);
    if (agent.options.every_ns && !agent_ensure())
        agent_output_complain("the thread for MOONHEAP_EVERY could not be started");
}
