/* Names are looked up beside the event loop, however long that takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue/resolve.h"
#include "tests/queue/lib/cluster.h"

enum { SLOW_MS = 400 };

static atomic_int lookups;

static int slow_lookup(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    atomic_fetch_add(&lookups, 1);
    usleep(SLOW_MS * 1000);
    if (strcmp(host, "nowhere") == 0)
        return EAI_NONAME;
    return getaddrinfo("127.0.0.1", service, hints, found);
}

struct heard {
    int answers;
    uint32_t count;
    char address[64], problem[128];
};

static void on_done(void *context, const char *address, const struct resolve_addresses *found,
                    const char *problem)
{
    struct heard *heard = context;
    heard->answers++;
    heard->count = found->count;
    snprintf(heard->address, sizeof heard->address, "%s", address);
    snprintf(heard->problem, sizeof heard->problem, "%s", problem);
}

static void numbers_need_nobody(void **state)
{
    (void)state;
    struct resolve_addresses found;
    assert_true(resolve_number("127.0.0.1:7712", &found));
    assert_int_equal(found.count, 1);
    assert_true(resolve_number("::1:7712", &found));
    assert_int_equal(found.list[0].ss_family, AF_INET6);
    assert_false(resolve_number("localhost:7712", &found));
    assert_false(resolve_number("127.0.0.1", &found));
    assert_false(resolve_number("", &found));
}

static void a_slow_name_server_stalls_nobody(void **state)
{
    (void)state;
    struct loop loop;
    struct heard heard = {0};
    assert_true(loop_open(&loop, NULL));
    struct resolver *resolver = resolver_open(&loop, on_done, &heard);
    resolver_set_lookup(resolver, slow_lookup);
    uint64_t begun_ms = cluster_now_ms();
    resolver_ask(resolver, "queue.example:7712");
    resolver_ask(resolver, "nowhere:7712");
    for (int turn = 0; turn < 20; turn++)
        loop_turn(&loop, 1);
    assert_true(cluster_now_ms() - begun_ms < SLOW_MS);
    assert_int_equal(heard.answers, 0);
    while (heard.answers == 0 && cluster_now_ms() - begun_ms < 10000)
        loop_turn(&loop, 20);
    assert_string_equal(heard.address, "queue.example:7712");
    assert_int_equal(heard.count, 1);
    while (heard.answers == 1 && cluster_now_ms() - begun_ms < 10000)
        loop_turn(&loop, 20);
    assert_string_equal(heard.address, "nowhere:7712");
    assert_int_equal(heard.count, 0);
    assert_true(heard.problem[0] != '\0');
    resolver_close(resolver);
    loop_close(&loop);
}

/* Closing does not wait for the name server, and what it says then goes nowhere. */
static void closing_does_not_wait(void **state)
{
    (void)state;
    struct loop loop;
    struct heard heard = {0};
    assert_true(loop_open(&loop, NULL));
    struct resolver *resolver = resolver_open(&loop, on_done, &heard);
    resolver_set_lookup(resolver, slow_lookup);
    atomic_store(&lookups, 0);
    resolver_ask(resolver, "queue.example:7712");
    while (atomic_load(&lookups) == 0)
        usleep(1000);
    uint64_t begun_ms = cluster_now_ms();
    resolver_close(resolver);
    assert_true(cluster_now_ms() - begun_ms < SLOW_MS);
    usleep(2 * SLOW_MS * 1000);
    loop_turn(&loop, 0);
    assert_int_equal(heard.answers, 0);
    loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_need_nobody),
        cmocka_unit_test(a_slow_name_server_stalls_nobody),
        cmocka_unit_test(closing_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
