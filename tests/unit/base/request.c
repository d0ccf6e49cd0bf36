/* SPDX-License-Identifier: MIT
 *
 * Messages survive the way through a socket; nonsense, silence and hanging up are noticed.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/request.h"
#include "base/sys.h"

static int ends[2];

static int open_ends(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

static int close_ends(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void messages_arrive_as_sent(void **state)
{
    (void)state;
    static const struct request_message sent[] = {
        {REQUEST_HELLO, {REQUEST_VERSION, 4711, UINT64_MAX}},
        {REQUEST_POKE, {0}},
        {REQUEST_OUTPUT, {123456}},
        {REQUEST_END, {1, 12000000, 0}}};
    for (size_t i = 0; i < COUNT_OF(sent); i++)
        assert_true(request_send(ends[0], &sent[i], 100));
    for (size_t i = 0; i < COUNT_OF(sent); i++) {
        struct request_message got;
        memset(&got, 0x55, sizeof got);
        assert_true(request_receive(ends[1], &got, 100));
        assert_int_equal(got.kind, sent[i].kind);
        assert_memory_equal(got.n, sent[i].n, sizeof got.n);
    }
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const nonsense[] = {
        "\n", "pokes\n", "pok\n", "poke 1\n", "output\n", "output x\n", "output 1 2\n",
        "output -1\n", "moonheap 1 2\n", "end 1 2 18446744073709551616\n",
        ("output 0000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "0000000000000000000000000001\n")};
    for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
        struct request_message got;
        close_ends(NULL);
        open_ends(NULL);
        assert_true(request_send_bytes(ends[0], nonsense[i], strlen(nonsense[i]), 100));
        assert_false(request_receive(ends[1], &got, 100));
    }
}

static void silence_and_hanging_up_end_it(void **state)
{
    (void)state;
    struct request_message got;
    u64 before = sys_monotonic_ns();
    assert_false(request_receive(ends[1], &got, 30));
    assert_true(sys_monotonic_ns() - before >= 29000000);
    assert_true(request_send_bytes(ends[0], "po", 2, 100)); /* half a line */
    shutdown(ends[0], SHUT_RDWR);
    assert_false(request_receive(ends[1], &got, 60000));
    /* no SIGPIPE: it would end this test */
    assert_false(request_send(ends[1], &(struct request_message){.kind = REQUEST_POKE}, 100));
}

static void *swallow(void *argument)
{
    usleep(20000);
    return (void *)(long)request_receive_bytes(ends[1], argument, 4 << 20, 60000);
}

static void much_output_passes_a_slow_reader(void **state)
{
    (void)state;
    u8 *data = malloc(4 << 20), *copy = calloc(1, 4 << 20);
    for (size_t i = 0; i < 4 << 20; i++)
        data[i] = (u8)(i * 7 + i / 251);
    pthread_t thread;
    pthread_create(&thread, NULL, swallow, copy);
    assert_true(request_send_bytes(ends[0], data, 4 << 20, 60000));
    void *whole;
    pthread_join(thread, &whole);
    assert_true(whole);
    assert_memory_equal(data, copy, 4 << 20);
    assert_false(request_send_bytes(ends[0], data, 4 << 20, 20)); /* nobody reads any more */
    free(data);
    free(copy);
}

static void the_address_meets(void **state)
{
    (void)state;
    struct sockaddr_un address, other;
    u32 length = request_address(getpid(), &address);
    assert_int_equal(address.sun_path[0], '\0');
    assert_int_not_equal(memcmp(&address, &other, request_address(1, &other)), 0);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), caller = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(caller, (struct sockaddr *)&address, length), -1);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(connect(caller, (struct sockaddr *)&address, length), 0);
    close(caller);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_arrive_as_sent, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(silence_and_hanging_up_end_it, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(much_output_passes_a_slow_reader, open_ends, close_ends),
        cmocka_unit_test(the_address_meets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
