/* Jepsen's logs: any bytes. What is read is written, and what was written is read as the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/histories/history_log.h"
#include "tests/fuzz/mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code read_source(struct source *source, struct history *history)
{
    struct history_notes notes = {.format = "log"};
    struct err err = ERR_INIT;
    history_init(history);
    enum err_code code = history_log_read(source, history, &notes, &err);
    assert(code == ERR_NONE || err.message[0] != '\0');
    source_close(source);
    return code;
}

static void write_and_read_again(const struct history *history)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct source source;
    struct history again;
    assert(fd >= 0);
    enum err_code code = history_log_write(history, fd, "fuzz", NULL);
    assert(code == ERR_NONE);
    lseek(fd, 0, SEEK_SET);
    source_open_fd(&source, "again", fd);
    code = read_source(&source, &again);
    assert(code == ERR_NONE && again.cut == NULL && again.count == history->count);
    for (uint32_t i = 0; i < again.count; i++)
        assert(again.type[i] == history->type[i] &&
               value_hash(again.value[i]) == value_hash(history->value[i]));
    history_free(&again);
    close(fd);
}

/* Whether all that this history holds is something that a line can hold: names that are keywords.
 */
static bool is_writable(const struct history *history)
{
    for (uint32_t f = 0; f < history->f_count; f++) {
        struct buf name = BUF_INIT;
        history_print_f(history->f_names[f], &name);
        bool good = name.data[0] == ':' && memchr(name.data, '\t', name.length) == NULL;
        buf_free(&name);
        if (!good)
            return false;
    }
    struct buf all = BUF_INIT;
    for (uint32_t i = 0; i < history->count; i++)
        value_print(history->value[i], &all);
    bool plain = all.length == 0 || (memchr(all.data, '\t', all.length) == NULL &&
                                     memchr(all.data, '\n', all.length) == NULL);
    buf_free(&all);
    for (uint32_t i = 0; i < history->process_name_count; i++)
        if (strpbrk(history->process_names[i], " \t\n\"") != NULL)
            return false;
    return plain;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source source;
    struct history history;
    source_open_text(&source, "fuzz", (const char *)data, size);
    if (read_source(&source, &history) == ERR_NONE && is_writable(&history))
        write_and_read_again(&history);
    history_free(&history);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const char *const tokens[] = {"\t:invoke\t",
                                         "\t:ok\t",
                                         "\t:fail\t",
                                         "\t:info\t",
                                         "0",
                                         "7",
                                         ":nemesis",
                                         ":read",
                                         ":cas",
                                         "\tnil",
                                         "\t[1 2]",
                                         "\t:timeout",
                                         "\n",
                                         "\r\n",
                                         "INFO  jepsen.util - ",
                                         "\t",
                                         "{\"n1\" #{1 1}}",
                                         "3\t:invoke\t:write\t4\n",
                                         "3\t:ok\t:write\t4\n"};
    return mutate_text(data, size, max_size, seed, tokens, sizeof tokens / sizeof tokens[0]);
}
