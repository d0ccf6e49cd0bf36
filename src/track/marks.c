/* SPDX-License-Identifier: MIT
 *
 * marks.c - see marks.h.
 *
 * Context: hot.
 */
#include "blocks.h"
#include "marks.h"
#include "names.h"
#include "record.h"
#include "trie.h"

static bool used;

bool track_marked(void)
{
    return PEEK(&used);
}

/* A stack with one mark more; itself when there is no room for it. */
static u32 mark(struct thread *t, u32 stack, u32 frame)
{
    POKE(&used, true);
    u32 marked = trie_intern(&t->room, stack, &frame, 1, &marked);
    return marked ? marked : stack;
}

u32 marks_tagged(struct thread *t, u32 stack)
{
    u32 depth = t->tag_depth < THREAD_TAGS ? t->tag_depth : THREAD_TAGS;
    return depth && t->tags[depth - 1] ? mark(t, stack, trie_tag(t->tags[depth - 1])) : stack;
}

/* The marks of a stack taken apart, and put together anew. */
static u32 with_marks(struct thread *t, u32 stack, bool set_tag, u32 tag, bool ignored)
{
    for (struct track_node n; stack; stack = n.parent) {
        n = track_node(stack);
        if (!n.tag && !n.ignored)
            break;
        ignored |= n.ignored;
        tag = !set_tag && n.tag ? n.tag : tag;
    }
    if (tag)
        stack = mark(t, stack, trie_tag(tag));
    return ignored ? mark(t, stack, TRIE_IGNORED) : stack;
}

/* The owner may free the block at this moment, against all rules: then nothing is written. */
static bool change(struct thread *t, const struct index *x, u64 at, bool set_tag, u32 tag,
                   bool ignored)
{
    struct track_block b;
    u64 *slot = x ? index_slot(x, at) : NULL;
    u64 word = slot ? ACQUIRE(slot) : 0;
    if (!(word & 1) || !index_read(x, at, &b) || b.addr != at)
        return false;
    u64 stack = with_marks(t, b.stack, set_tag, tag, ignored);
    return __atomic_compare_exchange_n(slot, &word, index_with_stack(word, (u32)stack), false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool change_either(struct thread *t, const void *p, bool set_tag, u32 tag, bool ignored)
{
    struct track_block b;
    index_settle();
    return change(t, &index_custom, ROUND_DOWN((u64)p, 8ul), set_tag, tag, ignored) ||
           change(t, blocks_index((u64)p, &b), (u64)p, set_tag, tag, ignored);
}

bool marks_tag(struct thread *t, const void *p, u32 name)
{
    return change_either(t, p, true, name, false);
}

bool marks_ignore(struct thread *t, const void *p)
{
    return change_either(t, p, false, 0, true);
}

void marks_push(struct thread *t, const char *name)
{
    if (t->tag_depth < THREAD_TAGS)
        t->tags[t->tag_depth] = (u16)names_intern(name);
    t->tag_depth++;
    record_use_tags();
}

bool marks_pop(struct thread *t, const char *name)
{
    u32 id = name ? names_find(name) : 0;
    if (t->tag_depth > THREAD_TAGS || (!name && t->tag_depth)) {
        t->tag_depth--;
        return true;
    }
    for (u32 depth = t->tag_depth; depth > 0; depth--)
        if (id && t->tags[depth - 1] == id) {
            t->tag_depth = depth - 1;
            return true;
        }
    return false;
}

u64 marks_own_bytes(void)
{
    return names_own_bytes();
}
