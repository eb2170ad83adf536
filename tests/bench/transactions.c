/* How long the transactions checker takes, and how much memory: histories of the simulated store,
 * written as history.ordeal and as EDN, read and judged by the program itself, each in a process of
 * its own. Behind each row, whether what is asked of it is met. Processor time, which other work on
 * the machine disturbs least, and elapsed time. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/histories/history_io.h"
#include "tests/lib/txn_store.h"

struct sample {
    const char *what;
    uint32_t txns, mops;
    bool skew; /* a G2-item is planted at the end */
    bool registers;
    const char *option; /* one more --set, or NULL */
    /* What is asked of it from history.ordeal and from EDN; 0: nothing. */
    double elapsed_max_s[2];
    long memory_max_mb;
};

/* Near linear: so many times the processor time of a transaction in the smaller history at most. */
static const double GROWTH_MAX = 1.5;

#define LINEARIZABLE_KEYS "transactions.linearizable-keys=true"

static const struct sample samples[] = {
    {"list-append, valid", 10000, 4, false, false, NULL, {0, 0}, 0},
    {"list-append, valid", 100000, 4, false, false, NULL, {0, 0}, 0},
    {"list-append, a G2-item planted", 100000, 4, true, false, NULL, {0.3, 0}, 0},
    {"list-append, valid", 1000000, 4, false, false, NULL, {1, 2}, 1000},
    {"list-append, valid", 10000000, 4, false, false, NULL, {0, 0}, 0},
    {"registers, linearizable keys", 10000, 4, false, true, LINEARIZABLE_KEYS, {0, 0}, 0},
    {"registers, linearizable keys", 100000, 4, false, true, LINEARIZABLE_KEYS, {0, 0}, 0},
    {"registers, linearizable keys", 1000000, 4, false, true, LINEARIZABLE_KEYS, {0, 0}, 0},
};

static void add(struct history *history, int32_t process, enum op_type type, int64_t key,
                int64_t other)
{
    struct arena *arena = &history->arena;
    struct value list = value_items(arena, VALUE_VECTOR, NULL, 0);
    struct value read[] = {value_keyword(arena, "r"), value_int(arena, key),
                           type == OP_OK ? list : value_nil()};
    struct value write[] = {value_keyword(arena, "append"), value_int(arena, other),
                            value_int(arena, 1)};
    struct value mops[] = {value_items(arena, VALUE_VECTOR, read, 3),
                           value_items(arena, VALUE_VECTOR, write, 3)};
    struct op op = {.type = type,
                    .process = process,
                    .f = history_f(history, "txn"),
                    .value = value_items(arena, VALUE_VECTOR, mops, 2),
                    .time_ns = history->time_ns[history->count - 1] + 1000};
    enum err_code code;
    history_append_own(history, &op, &code);
    assert(code == ERR_NONE);
}

/* Two at once, each of which does not see what the other appends. */
static void plant(struct history *history)
{
    int64_t a = 1000000001, b = 1000000002;
    add(history, 1000001, OP_INVOKE, a, b);
    add(history, 1000002, OP_INVOKE, b, a);
    add(history, 1000001, OP_OK, a, b);
    add(history, 1000002, OP_OK, b, a);
}

static const char *met(bool is)
{
    return is ? "met" : "NOT MET";
}

static void tell_demand(const struct sample *sample, bool edn, int exit_status, double elapsed_s,
                        long memory_mb)
{
    double most_s = sample->elapsed_max_s[edn];
    if (exit_status != (sample->skew ? 1 : 0))
        printf("  the verdict is wrong: NOT MET\n");
    if (most_s > 0)
        printf("  asked: less than %g s elapsed: %s\n", most_s, met(elapsed_s < most_s));
    if (most_s > 0 && sample->memory_max_mb > 0)
        printf("  asked: less than %ld MB: %s\n", sample->memory_max_mb,
               met(memory_mb < sample->memory_max_mb));
}

/* Processor seconds of one transaction against those of a tenth of the history. */
static void tell_growth(const struct sample *sample, bool edn, double processor_s)
{
    static double before_s[2][2]; /* [registers][edn] */
    double *before = &before_s[sample->registers][edn], each_s = processor_s / sample->txns;
    if (!sample->skew && *before > 0)
        printf("  asked: near linear; a transaction took %.2f times what it took in a tenth: %s\n",
               each_s / *before, met(each_s < GROWTH_MAX * *before));
    if (!sample->skew)
        *before = each_s;
}

static void judge(const char *ordeal, const char *path, const struct sample *sample,
                  const char *format)
{
    char option[128];
    snprintf(option, sizeof option, "%s",
             sample->option == NULL ? "transactions.dot=false" : sample->option);
    int64_t began_ns = clock_monotonic_ns();
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        execl(ordeal, "ordeal", "check", path, "--checker", "transactions", "--set", option,
              "--memory", "16384", "--pieces", "no", (char *)NULL);
        _exit(127);
    }
    int status;
    struct rusage usage;
    wait4(child, &status, 0, &usage);
    int64_t ended_ns = clock_monotonic_ns();
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
    double system = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    static const char *const verdicts[] = {"valid", "invalid", "unknown"};
    int exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    printf("| %-32s | %9u | %-6s | %7.3f s | %7.3f s | %7.3f s | %6ld MB | %-7s |\n", sample->what,
           sample->txns, format, cpu, system, (double)(ended_ns - began_ns) / 1e9,
           usage.ru_maxrss / 1024, exit_status < 3 ? verdicts[exit_status] : "failed");
    bool edn = strcmp(format, "edn") == 0;
    tell_demand(sample, edn, exit_status, (double)(ended_ns - began_ns) / 1e9,
                usage.ru_maxrss / 1024);
    tell_growth(sample, edn, cpu + system);
    fflush(stdout);
}

static void measure(const char *ordeal, const char *directory, const struct sample *sample)
{
    char path[2][256];
    snprintf(path[0], sizeof path[0], "%s/history.ordeal", directory);
    snprintf(path[1], sizeof path[1], "%s/history.edn", directory);
    pid_t child = fork(); /* so that what making it took is not carried along */
    if (child == 0) {
        struct store_options options = {.seed = 1,
                                        .txns = sample->txns,
                                        .processes = 20,
                                        .keys = 10,
                                        .writes_per_key = 32,
                                        .mops_min = sample->mops,
                                        .mops_max = sample->mops,
                                        .unknown = 0.0001,
                                        .failed = 0.001,
                                        .registers = sample->registers};
        struct history history;
        struct err err = ERR_INIT;
        store_run(&options, &history);
        if (sample->skew)
            plant(&history);
        if (history_save(path[0], "ordeal", &history, &err) != ERR_NONE ||
            history_save(path[1], "edn", &history, &err) != ERR_NONE) {
            fprintf(stderr, "%s\n", err.message);
            _exit(1);
        }
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    judge(ordeal, path[0], sample, "ordeal");
    judge(ordeal, path[1], sample, "edn");
    unlink(path[0]);
    unlink(path[1]);
}

/* transactions ORDEAL [most transactions] */
int main(int argc, char **argv)
{
    const char *ordeal = argc > 1 ? argv[1] : "./ordeal";
    unsigned long most = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
    char directory[] = "/tmp/ordeal-bench-XXXXXX";
    assert(mkdtemp(directory) != NULL);
    printf("| what                             | transact. | from   |      user |    system |   "
           "elapsed |  memory   | verdict |\n");
    printf("|----------------------------------|-----------|--------|-----------|-----------|-----"
           "------|-----------|---------|\n");
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        if (samples[i].txns <= most)
            measure(ordeal, directory, &samples[i]);
    rmdir(directory);
    return 0;
}
