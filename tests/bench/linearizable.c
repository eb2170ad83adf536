/* How long the linearizable checker takes, and how much memory: one line per history. Each runs in
 * a process of its own, so that the largest resident size is its own. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/checker.h"
#include "tests/lib/lin_random.h"

struct sample {
    uint32_t keys, ops, clients;
    double info;
    bool bad_tail;
    uint64_t seed;
};

static void measure(const struct sample *sample)
{
    struct prng prng = prng_stream(sample->seed, "bench");
    struct lin_random random = {.ops = sample->ops,
                                .clients = sample->clients,
                                .values = 5,
                                .info = sample->info,
                                .cas = 1.0 / 3,
                                .write = 1.0 / 3};
    size_t count = 0;
    struct lin_text_op *ops = calloc((size_t)sample->keys * sample->ops + 3, sizeof *ops);
    assert(ops != NULL);
    for (uint32_t key = 0; key < sample->keys; key++) {
        lin_random_valid(&prng, &random, ops + count);
        for (uint32_t i = 0; i < sample->ops; i++) {
            ops[count + i].key = sample->keys > 1 ? (int)key : LIN_TEXT_NO_KEY;
            ops[count + i].process += (int)(key * 100000);
            ops[count + i].invoked = ops[count + i].invoked * (int)sample->keys + (int)key;
            if (ops[count + i].completed != LIN_TEXT_NO_TIME)
                ops[count + i].completed = ops[count + i].completed * (int)sample->keys + (int)key;
        }
        count += sample->ops;
    }
    if (sample->bad_tail)
        count = lin_random_bad_tail(ops, count);
    struct history history;
    lin_text_history(ops, count, &history);
    free(ops);
    struct check_input input = {
        .history = &history,
        .limits = {.time_ns = 60 * NS_PER_SECOND, .memory_bytes = (size_t)4 << 30, .threads = 1},
        .options = {.values = json_object()}};
    option_defaults(&input.options, "linearizable", checker_find("linearizable")->options);
    enum verdict verdict;
    int64_t began_ns = clock_monotonic_ns();
    struct json *results = check_all((const char *const[]){"linearizable"}, 1, &input, &verdict);
    double seconds = (double)(clock_monotonic_ns() - began_ns) / 1e9;
    const struct json *result = json_get(json_get(results, "checkers"), "linearizable");
    const struct json *worst = json_get(result, "worst-key");
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%4u keys %7u ops %3u clients %4.0f%% info  %-8s  %-8s %8.3f s  search %8.0f kB  "
           "resident %8ld kB  widest %6.0f  %s, certified %s\n",
           sample->keys, sample->ops, sample->clients, sample->info * 100,
           sample->bad_tail ? "bad-tail" : "valid", verdict_name(verdict), seconds,
           json_as_real(json_get(result, "memory-peak-bytes"), 0) / 1024, usage.ru_maxrss,
           json_as_real(json_get(worst, "widest-frontier"), 0),
           json_as_text(json_get(worst, "decided-by"), "?"),
           json_as_bool(json_get(result, "certified"), false) ? "yes" : "no");
    json_free(results);
    json_free(input.options.values);
    history_free(&history);
}

int main(void)
{
    static const struct sample samples[] = {
        {1, 1000, 5, 0, false, 1},      {1, 1000, 5, 0.05, false, 1},
        {1, 1000, 5, 0.05, true, 1},    {1, 1000, 10, 0, false, 1},
        {1, 1000, 10, 0.05, false, 1},  {1, 1000, 10, 0.05, true, 1},
        {1, 1000, 20, 0, false, 1},     {1, 1000, 20, 0.01, false, 1},
        {1, 1000, 20, 0.05, false, 1},  {1, 1000, 20, 0.05, true, 1},
        {1, 10000, 10, 0.05, false, 1}, {1, 10000, 10, 0.05, true, 1},
        {1, 100000, 5, 0.05, false, 1}, {1, 100000, 5, 0.05, true, 1},
        {200, 200, 5, 0.05, false, 1},  {200, 400, 5, 0.1, false, 1},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        pid_t child = fork();
        if (child == 0) {
            measure(&samples[i]);
            fflush(stdout);
            _exit(0);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            return 1;
    }
    return 0;
}
