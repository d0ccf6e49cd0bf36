/* SPDX-License-Identifier: MIT
 *
 * Tests of the site rule: one row a frame, and whether it is passed over.
 */
#include "world.h"

#define SERVER "/usr/bin/server"

static const struct {
    const char *file, *function;
    bool passed;
} frames[] = {
    {"/lib/x86_64-linux-gnu/libc.so.6", "fopen", true},
    {"/lib/x86_64-linux-gnu/libc.so.6", NULL, true},
    {"/lib64/ld-linux-x86-64.so.2", "_dl_open", true},
    {"/usr/lib/libstdc++.so.6.0.30", "std::string::reserve", true},
    {"/usr/lib/libc++abi.so.1", "whatever", true},
    {"/usr/lib/libjemalloc.so.2", "anything", true},
    {"/usr/lib/libcurl.so.4", "curl_easy_init", false},
    {"/opt/libc.so.d/server", "main", false},
    {SERVER, "malloc", true},
    {SERVER, "zmalloc", true},
    {SERVER, "xmalloc", true},
    {SERVER, "ztrymalloc_usable", true},
    {SERVER, "zcalloc", true},
    {SERVER, "zrealloc", true},
    {SERVER, "g_malloc0", true},
    {SERVER, "g_strdup", true},
    {SERVER, "PyMem_RawMalloc", true},
    {SERVER, "_PyObject_Calloc", true},
    {SERVER, "ngx_alloc", true},
    {SERVER, "ngx_memalign", true},
    {SERVER, "CRYPTO_malloc.constprop.0", true},
    {SERVER, "posix_memalign", true},
    {SERVER, "aligned_alloc", true},
    {SERVER, "operator new(unsigned long)", true},
    {SERVER, "operator new[](unsigned long, std::align_val_t)", true},
    {SERVER, "Arena::operator new(unsigned long)", true},
    {SERVER, "std::vector<int, std::allocator<int> >::reserve(unsigned long)", true},
    {SERVER, "void std::vector<int>::_M_realloc_insert<int>(int*, int&&)", true},
    {SERVER, "__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)", true},
    {SERVER, "my::pool<node>::allocate(unsigned long)", true},
    {SERVER, "my::pool<node>::allocate<4>(unsigned long)", true},
    {SERVER, "make_session", false},
    {SERVER, "main", false},
    {SERVER, NULL, false},
    {SERVER, "ns::server::accept(std::vector<int>&)", false},
    {SERVER, "std::vector<int, std::allocator<int> >* build<int>(int)", false},
    {SERVER, "void add<Malloc>(malloc_policy)", false},
    {SERVER, "my::cache<MallocPolicy>::insert(key const&)", false},
    {SERVER, "(anonymous namespace)::loader::load(std::string)", false},
    {SERVER, "reallocation_plan(int)", true},
    {SERVER, "main::{lambda(int)#1}::operator()(int) const", false},
    {SERVER, "matrix::operator*(matrix const&)", false},
    {SERVER, "operatornew", false},
    {SERVER, "allocate_session", false},
    {SERVER, "", false},
};

static void each_frame_is_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(frames); i++)
        if (types_site_passes_over(frames[i].file, frames[i].function) != frames[i].passed)
            fail_msg("%s in %s should %sbe passed over",
                     frames[i].function ? frames[i].function : "(no symbol)", frames[i].file,
                     frames[i].passed ? "" : "not ");
}

static void sources_of_libraries(void **state)
{
    (void)state;
    assert_true(types_site_is_library("/rustc/59807616e1/library/alloc/src/vec/mod.rs"));
    assert_true(types_site_is_library("library/core/src/ptr/mod.rs"));
    assert_true(types_site_is_library("/home/me/.cargo/registry/src/x/hashbrown-0.15.2/src/map.rs"));
    assert_false(types_site_is_library("/home/me/server/src/core/alloc.rs"));
    assert_false(types_site_is_library(""));
    assert_true(types_site_passes_over(SERVER, "__rustc::__rust_alloc"));
    assert_false(types_site_passes_over(SERVER, "core::pool::take"));
}

/* Names that no demangler would give must not confuse it into reading past their end. */
static void broken_names_do_no_harm(void **state)
{
    (void)state;
    static const char *const broken[] = {"<",  ">>>", "((",  "::",       "operator", "a::operator",
                                         "{ ", " ",   "a< ", "operator(", "(anonymous namespace)"};
    for (size_t i = 0; i < COUNT_OF(broken); i++)
        assert_false(types_site_passes_over(SERVER, broken[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_frame_is_judged),
        cmocka_unit_test(sources_of_libraries),
        cmocka_unit_test(broken_names_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
