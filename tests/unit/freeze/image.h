/* SPDX-License-Identifier: MIT
 *
 * image.h - the steps of freeze_image on the process itself, which neither stops nor is cloned: the
 * test lays out blocks in memory of its own and says of which threads registers are known.
 */
#ifndef TESTS_FREEZE_IMAGE_H
#define TESTS_FREEZE_IMAGE_H

#include <sys/mman.h>

#include "fake_track.h"
#include "freeze/scan.h"

enum { IMAGE_BLOCKS_MAX = 4096 };
static struct track_block image_blocks[IMAGE_BLOCKS_MAX];
static struct freeze_request image_request;

static inline u8 *image_pages(u64 bytes)
{
    u8 *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

/* Blocks must be given in the order of their addresses. */
static inline void image_block(const void *at, u64 size)
{
    assert_true(fake.block_count < IMAGE_BLOCKS_MAX);
    fake.blocks = image_blocks;
    image_blocks[fake.block_count++] = (struct track_block){.addr = (u64)at, .size = size};
}

/* AddressSanitizer's shadow is terabytes of roots, and what is read here is poisoned to it. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define IMAGE_SHADOWED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define IMAGE_SHADOWED
#endif

/* With so much memory for references; what became of it is left in the writer's status. */
static inline void image_write(struct snapshot_writer *out, const struct stop *stop, u64 memory)
{
#ifdef IMAGE_SHADOWED
    skip();
#endif
    struct snapshot_writer w;
    struct freeze_job j;
    struct track_counters c = {0};
    assert_true(snapshot_writer_begin(&w, 1ull << 32));
    assert_true(freeze_job_begin(&j, &w));
    j.flags = SNAPSHOT_FLAG_GRAPH;
    assert_true(freeze_blocks(&j) && freeze_stacks(&j));
    struct regions *regions = regions_read(&j.strings);
    assert_non_null(regions);
    bool whole = scan_references(&j, regions, stop, &image_request, memory);
    assert_int_equal(whole, w.status == STATUS_OK);
    regions_free(regions);
    freeze_job_finish(&j, &image_request, &c);
    freeze_job_end(&j);
    *out = w;
}

static inline void image_take(struct snapshot *s, const struct stop *stop)
{
    struct snapshot_writer w;
    struct err e = {0};
    image_write(&w, stop, 1u << 30);
    if (!snapshot_writer_finish(&w, s, &e))
        fail_msg("%s", e.text);
}

#endif
