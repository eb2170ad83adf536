/* Who belongs to the queue, and changes of that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/queue.h"

static const int64_t ask_ns = NS_PER_SECOND, change_ns = 5 * NS_PER_SECOND;

/* The n-th word of a line, "" when it has fewer. */
static void word(const char *line, int n, char *out, size_t size)
{
    for (; n > 0; n--) {
        line += strcspn(line, " \n");
        line += *line == ' ';
    }
    snprintf(out, size, "%.*s", (int)strcspn(line, " \n"), line);
}

/* "2 10.0.0.2:7712 voter 00ab.. connected,leader": who is joining is no member yet. */
enum err_code queue_members(struct test *test, uint32_t node, node_set *members, struct err *err)
{
    static const char *const words[] = {"CLUSTER", "NODES", NULL};
    struct buf answer = BUF_INIT;
    enum err_code code = queue_ask(test, node, words, ask_ns, &answer, err);
    node_set set = 0;
    for (const char *line = buf_text(&answer); *line != '\0' && code == ERR_NONE;) {
        char number[16], standing[16], *end;
        word(line, 0, number, sizeof number);
        word(line, 2, standing, sizeof standing);
        unsigned long n = strtoul(number, &end, 10);
        if (end == number || n < 1 || n > test->node_count)
            code = err_set(err, ERR_REMOTE, "%s tells of a node %s that there is not",
                           test->nodes[node].name, number);
        else if (strcmp(standing, "voter") == 0)
            set |= NODE_SET(n - 1);
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    buf_free(&answer);
    if (code == ERR_NONE)
        *members = set;
    return code;
}

enum err_code queue_remove(struct test *test, uint32_t node, uint32_t via, struct err *err)
{
    char number[16];
    struct buf answer = BUF_INIT;
    snprintf(number, sizeof number, "%u", node + 1);
    const char *const words[] = {"CLUSTER", "FORGET", number, NULL};
    enum err_code code = queue_ask(test, via, words, change_ns, &answer, err);
    buf_free(&answer);
    return code;
}

enum err_code queue_add(struct test *test, uint32_t node, uint32_t via, node_set members,
                        struct err *err)
{
    char number[16], address[320];
    struct buf answer = BUF_INIT;
    (void)members;
    snprintf(number, sizeof number, "%u", node + 1);
    snprintf(address, sizeof address, "%s:%u", node_peer_address(&test->nodes[node]),
             (unsigned)queue_peer_port(test));
    const char *const words[] = {"CLUSTER", "ADD", number, address, NULL};
    enum err_code code = queue_start_joining(test, node, err);
    if (code == ERR_NONE)
        code = queue_ask(test, via, words, change_ns, &answer, err);
    buf_free(&answer);
    return code;
}
