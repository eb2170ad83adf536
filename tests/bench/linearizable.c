/* linearizable ORDEAL SEEDS [OPS]: what `ordeal check` takes on one compare-and-set register.
 *
 * Values 0 to 4, operations drawn evenly from read, write and cas, clients always busy (about two
 * thirds of them have an operation pending at any time). Valid; with a stale read at the end; with
 * one read in the middle changed to another value of the domain, which may leave it valid. A share
 * of the operations ends indeterminate. For each cell of the grid, up to OPS operations, as many
 * histories as SEEDS, each judged by a process of its own, from history.ordeal to the verdict.
 * Prints a line of Markdown for each. Fails when a verdict is wrong, or a cell is not what is
 * demanded: answered and certified, within 20 s of processor time and 500 MB (40 clients and 1 000
 * operations: 0.2 s and 30 MB; 1 000 000 operations without indeterminate ones: 3 s). */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "harness/base/text.h"
#include "harness/histories/history_io.h"
#include "tests/lib/lin_random.h"

enum kind { VALID, BAD_TAIL, FLIPPED, KINDS };
static const char *const kind_names[KINDS] = {"valid", "stale at the end", "one read changed"};

struct sample {
    uint32_t ops, clients;
    double info;
    enum kind kind;
    uint64_t seed;
};

struct measure {
    double cpu_s, wall_s, resident_mb;
    int status; /* 0 valid, 1 invalid, 2 unknown */
    bool certified;
};

static void generate(const struct sample *sample, const char *path)
{
    struct prng prng = prng_stream(sample->seed, "bench");
    struct lin_random random = {.ops = sample->ops,
                                .clients = sample->clients,
                                .values = 5,
                                .info = sample->info,
                                .cas = 1.0 / 3,
                                .write = 1.0 / 3};
    struct lin_text_op *ops = calloc((size_t)sample->ops + 3, sizeof *ops);
    assert(ops != NULL);
    lin_random_valid(&prng, &random, ops);
    size_t count = sample->ops;
    if (sample->kind == FLIPPED)
        lin_random_flip(&prng, &random, ops);
    if (sample->kind == BAD_TAIL)
        count = lin_random_bad_tail(ops, count);
    struct history history;
    struct err err = ERR_INIT;
    lin_text_history(ops, count, &history);
    if (history_save(path, "ordeal", &history, &err) != ERR_NONE) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    history_free(&history);
    free(ops);
}

static void generate_apart(const struct sample *sample, const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        generate(sample, path);
        _exit(0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static bool is_certified(const char *path)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    struct json *results = NULL;
    bool certified = false;
    if (file_read(path, (size_t)1 << 28, &text, &err) == ERR_NONE &&
        json_parse(text.data, text.length, path, &results, &err) == ERR_NONE)
        certified = json_as_bool(
            json_get(json_get(json_get(results, "checkers"), "linearizable"), "certified"), false);
    json_free(results);
    buf_free(&text);
    return certified;
}

static struct measure measure(const char *ordeal, const char *history, const char *output)
{
    struct measure measure = {.cpu_s = 0};
    int64_t began_ns = clock_monotonic_ns();
    pid_t child = fork();
    if (child == 0) {
        int fd = open(output, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
            _exit(255);
        execl(ordeal, ordeal, "check", history, "--checker", "linearizable", "--json", "--keyed",
              "no", (char *)NULL);
        _exit(255);
    }
    struct rusage usage;
    int status;
    if (child < 0 || wait4(child, &status, 0, &usage) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) > 2) {
        fprintf(stderr, "%s check %s failed\n", ordeal, history);
        exit(1);
    }
    measure.wall_s = (double)(clock_monotonic_ns() - began_ns) / 1e9;
    measure.cpu_s = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    measure.resident_mb = (double)usage.ru_maxrss / 1024;
    measure.status = WEXITSTATUS(status);
    measure.certified = is_certified(output);
    return measure;
}

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What a cell may take at most. */
static double most_seconds(const struct sample *sample)
{
    if (sample->ops > 100000)
        return sample->info == 0 && sample->kind == VALID ? 3 : 60;
    return sample->ops == 1000 && sample->clients == 40 ? 0.2 : 20;
}

static double most_megabytes(const struct sample *sample)
{
    return sample->ops == 1000 && sample->clients == 40 ? 30 : 500;
}

/* One cell. Returns how many histories were judged wrongly or not as demanded. */
static int print_cell(const char *ordeal, struct sample sample, uint64_t seeds, const char *folder)
{
    char history[256], output[256];
    snprintf(history, sizeof history, "%s/history.ordeal", folder);
    snprintf(output, sizeof output, "%s/results.json", folder);
    int counts[3] = {0, 0, 0}, wrong = 0, certified = 0, missed = 0;
    double cpu_s[1000], wall_s = 0, resident_mb = 0;
    for (sample.seed = 1; sample.seed <= seeds; sample.seed++) {
        generate_apart(&sample, history);
        struct measure found = measure(ordeal, history, output);
        counts[found.status]++;
        wrong += (sample.kind == VALID && found.status == 1) ||
                 (sample.kind == BAD_TAIL && found.status == 0);
        certified += found.certified && found.status != 2;
        missed += !found.certified || found.status == 2 || found.cpu_s > most_seconds(&sample) ||
                  found.resident_mb > most_megabytes(&sample);
        cpu_s[sample.seed - 1] = found.cpu_s;
        wall_s = found.wall_s > wall_s ? found.wall_s : wall_s;
        resident_mb = found.resident_mb > resident_mb ? found.resident_mb : resident_mb;
    }
    qsort(cpu_s, seeds, sizeof cpu_s[0], compare_reals);
    double median_s = cpu_s[seeds / 2];
    printf(
        "| %u | %u | %.0f %% | %s | %d / %d / %d | %d | %d | %d | %.3f | %.3f | %.3f | %.0f | %.0f "
        "|\n",
        sample.ops, sample.clients, sample.info * 100, kind_names[sample.kind], counts[0],
        counts[1], counts[2], wrong, certified, missed, median_s, cpu_s[seeds - 1], wall_s,
        (double)sample.ops / median_s, resident_mb);
    fflush(stdout);
    return wrong + missed;
}

int main(int argc, char **argv)
{
    static const double infos[] = {0, 0.01, 0.05};
    char folder[] = "/tmp/ordeal-bench.XXXXXX";
    uint64_t seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint32_t most = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 100000;
    if (seeds < 1 || seeds > 1000 || mkdtemp(folder) == NULL) {
        fprintf(stderr, "usage: linearizable ORDEAL SEEDS [OPS]\n");
        return 2;
    }
    int wrong = 0;
    printf("| operations | clients | indeterminate | history | valid / invalid / unknown | wrong | "
           "certified | not as demanded | CPU s, median | CPU s, most | wall s, most | "
           "operations/s | resident MB, "
           "most |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (uint32_t ops = 1000; ops <= most; ops *= 10)
        for (uint32_t clients = 5; clients <= 40 && (ops <= 100000 || clients <= 10); clients *= 2)
            for (int info = 0; info < 3; info++)
                for (int kind = 0; kind < KINDS; kind++)
                    wrong += print_cell(argv[1],
                                        (struct sample){.ops = ops,
                                                        .clients = clients,
                                                        .info = infos[info],
                                                        .kind = (enum kind)kind},
                                        seeds, folder);
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || wrong > 0;
}
