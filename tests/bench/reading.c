/* How fast histories are read, in megabytes of text a second of processor time, on one core: EDN as
 * Jepsen writes it, about registers and about transactions; JSON lines; history.ordeal. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness/base/prng.h"
#include "harness/histories/history_edn.h"
#include "harness/histories/history_file.h"
#include "harness/histories/history_json.h"

enum { EVENTS = 600000, REPEATS = 5 };

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add_register(struct buf *out, struct prng *prng, bool ok)
{
    uint64_t choice = prng_below(prng, 3), value = prng_below(prng, 5);
    static const char *const f[] = {"read", "write", "cas"};
    buf_printf(out, ":f :%s, :value ", f[choice]);
    if (choice == 0 && !ok)
        buf_add_text(out, "nil");
    else if (choice == 2)
        buf_printf(out, "[%d %d]", (int)value, (int)prng_below(prng, 5));
    else
        buf_printf(out, "%d", (int)value);
}

static void add_transaction(struct buf *out, struct prng *prng, bool ok)
{
    uint64_t count = 1 + prng_below(prng, 4);
    buf_add_text(out, ":f :txn, :value [");
    for (uint64_t i = 0; i < count; i++) {
        int key = (int)prng_below(prng, 100), reads = prng_below(prng, 2) == 0;
        buf_printf(out, "%s[:%s %d ", i > 0 ? " " : "", reads ? "r" : "append", key);
        if (!reads)
            buf_printf(out, "%d]", (int)prng_below(prng, 100000));
        else if (!ok)
            buf_add_text(out, "nil]");
        else {
            buf_add_char(out, '[');
            for (uint64_t n = prng_below(prng, 20), j = 0; j < n; j++)
                buf_printf(out, "%s%d", j > 0 ? " " : "", (int)prng_below(prng, 100000));
            buf_add_text(out, "]]");
        }
    }
    buf_add_char(out, ']');
}

static void make_edn(struct buf *out, bool transactions)
{
    struct prng prng = prng_stream(1, "reading");
    for (int i = 0; i < EVENTS; i++) {
        buf_printf(out, "{:index %d, :time %d%06d, :type :%s, :process %d, ", i, i + 1,
                   (int)prng_below(&prng, 1000000), i % 2 == 0 ? "invoke" : "ok", i / 2 % 20);
        (transactions ? add_transaction : add_register)(out, &prng, i % 2 == 1);
        buf_add_text(out, "}\n");
    }
}

static FILE *file_of(const struct history *history, const char *format, const struct buf *text)
{
    FILE *file = tmpfile();
    struct err err = ERR_INIT;
    enum err_code code = ERR_NONE;
    assert(file != NULL);
    if (text != NULL)
        assert(write(fileno(file), text->data, text->length) == (ssize_t)text->length);
    else if (strcmp(format, "jsonl") == 0)
        code = history_json_write(history, JSON_EXACT, fileno(file), "bench", &err);
    else {
        struct history_writer *writer;
        code = history_writer_open_fd(dup(fileno(file)), "bench", history, NULL, &writer, &err);
        assert(code == ERR_NONE);
        for (uint32_t i = 0; i < history->count; i++) {
            struct op op = history_op(history, i);
            history_writer_append(writer, &op);
        }
        code = history_writer_close(writer, &err);
    }
    assert(code == ERR_NONE);
    return file;
}

static void read_once(FILE *file, const char *format, struct history *history)
{
    struct history_notes notes = {.format = format};
    struct source source;
    struct err err = ERR_INIT;
    enum err_code code;
    history_init(history);
    lseek(fileno(file), 0, SEEK_SET);
    source_open_fd(&source, "bench", fileno(file));
    if (strcmp(format, "edn") == 0)
        code = history_edn_read(&source, history, &notes, &err);
    else if (strcmp(format, "jsonl") == 0)
        code = history_json_read(&source, JSON_EXACT, history, &notes, &err);
    else
        code = history_file_read_fd(fileno(file), "bench", history, &err);
    if (code != ERR_NONE)
        fprintf(stderr, "%s\n", err.message);
    assert(code == ERR_NONE && history->count == EVENTS && history->cut == NULL);
    source_close(&source);
}

static const char *only; /* a format; NULL: all */

static void measure(const char *what, const char *format, const struct history *from,
                    const struct buf *text)
{
    if (only != NULL && strcmp(only, format) != 0)
        return;
    FILE *file = file_of(from, format, text);
    double bytes = (double)lseek(fileno(file), 0, SEEK_END), best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        struct history history;
        double began = processor_seconds();
        read_once(file, format, &history);
        double seconds = processor_seconds() - began;
        best = seconds < best ? seconds : best;
        history_free(&history);
    }
    fclose(file);
    printf("%-14s %-7s %6.1f MB %8.1f MB/s %10.0f events/s\n", what, format, bytes / 1e6,
           bytes / 1e6 / best, EVENTS / best);
}

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    printf("reading %d events; processor time, best of %d\n", EVENTS, REPEATS);
    for (int transactions = 0; transactions < 2; transactions++) {
        struct buf text = BUF_INIT;
        struct history history;
        const char *what = transactions ? "transactions" : "registers";
        make_edn(&text, transactions);
        FILE *file = file_of(NULL, "edn", &text);
        read_once(file, "edn", &history);
        fclose(file);
        measure(what, "edn", NULL, &text);
        measure(what, "jsonl", &history, NULL);
        measure(what, "ordeal", &history, NULL);
        history_free(&history);
        buf_free(&text);
    }
    return 0;
}
