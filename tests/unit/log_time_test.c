/* Times in the logs of programs. */
#include <stdlib.h>
#include <string.h>

#include "reports/log_time.h"
#include "tests/lib/test.h"

static const struct {
    const char *line;
    int64_t ns; /* -1: it tells none */
    bool zoned;
} lines[] = {
    {"2026-11-30T09:15:49.126Z warning limits", 1796030149126000000, true},
    {"2026-11-30 09:16:11.158191 W | pkg/flags: unrecognized", 1796030171158191000, false},
    {"{\"level\":\"info\",\"ts\":\"2026-11-30T09:16:11.158Z\",\"msg\":\"x\"}", 1796030171158000000,
     true},
    {"{\"level\":\"info\",\"ts\":\"2026-11-30T09:16:11.158+0100\"}", 1796026571158000000, true},
    {"[412] 2026/11/30 09:16:11.158191 [INF] Starting", 1796030171158191000, false},
    {"412:M 30 Nov 2026 09:16:11.158 * Ready to accept", 1796030171158000000, false},
    {"2026-11-30 09:16:11.158 UTC [33] LOG:  database system is ready", 1796030171158000000, true},
    {"2026-11-30  9:16:11 0 [Note] WSREP: Quorum results", 1796030171000000000, false},
    {"2026-11-30 09:16:11.158191+00:00 [info] <0.230.0> node up", 1796030171158191000, true},
    {"20261130T091611.158Z", 1796030171158000000, true},
    {"2026-11-30T09:16:11.123456789-05:30 x", 1796049971123456789, true},
    {"2024-02-29 00:00:00 leap", 1709164800000000000, false},
    {"1970-01-01T00:00:00Z", 0, true},
    /* what only looks like one */
    {"", -1, false},
    {"raft.node: elected leader 3 at term 2", -1, false},
    {"version 3.4.23 on 10.77.0.11:2380", -1, false},
    {"2026-13-30 09:16:11", -1, false},
    {"2026-11-30 24:16:11", -1, false},
    {"2026-11-30", -1, false},
    {"2026-11-30 09:16", -1, false},
    {"30 Foo 2026 09:16:11", -1, false},
    {"12026-11-30 09:16:11", -1, false},
};

static void test_lines(void **state)
{
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct log_time time = {-1, false};
        bool told = log_time_read(lines[i].line, strlen(lines[i].line), &time);
        if (told != (lines[i].ns >= 0) || (told && time.ns != lines[i].ns) ||
            (told && time.zoned != lines[i].zoned))
            fail_msg("%s: %lld ns", lines[i].line, (long long)time.ns);
    }
    (void)state;
}

/* Nothing is read beyond the line, however it ends. */
static void test_cut(void **state)
{
    static const char whole[] = "x 2026-11-30T09:16:11.158+01:00";
    for (size_t length = 0; length < sizeof whole; length++) {
        char *line = malloc(length + 1);
        struct log_time time;
        assert_non_null(line);
        memcpy(line, whole, length);
        bool told = log_time_read(line, length, &time);
        assert_int_equal(told, length >= strlen("x 2026-11-30T09:16:11"));
        free(line);
    }
    (void)state;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
