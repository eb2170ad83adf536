/* tests/faults.txt beside the registry: every nemesis, and every value of its options that are
 * choices, has a test that sees it, one that kills ordeal in the middle of it, and one that asks
 * for it where it cannot work, or a reason why not; and every test that is named is there. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/arena.h"
#include "harness/base/text.h"
#include "harness/nemesis.h"
#include "nemeses/packets_asked.h"
#include "tests/lib/test.h"

enum { ROWS_MAX = 300, WORDS = 3, CELLS_MAX = 8, FILE_BYTES_MAX = 1 << 20 };
static const char *const words[WORDS] = {"seen", "killed", "refused"};

/* A fault: all that is said of it under each word. */
struct row {
    const char *fault;
    const char *cells[WORDS][CELLS_MAX];
    size_t counts[WORDS];
};

struct table {
    struct arena arena;
    struct row rows[ROWS_MAX];
    size_t count;
    struct buf problems; /* one a line */
};

static char *read_source(struct arena *arena, const char *path)
{
    const char *root = getenv("ORDEAL_SOURCE");
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char *copy = NULL;
    const char *full = arena_printf(arena, "%s/%s", root == NULL ? "." : root, path);
    if (access(full, F_OK) == 0) {
        assert_ok(file_read(full, FILE_BYTES_MAX, &text, &err));
        copy = arena_strdup(arena, buf_text(&text));
    }
    buf_free(&text);
    return copy;
}

/* ---- Reading ---- */

static struct row *find_row(struct table *table, const char *fault)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].fault, fault) == 0)
            return &table->rows[i];
    return NULL;
}

static void read_cell(struct table *table, struct row *row, char *line)
{
    size_t length = strcspn(line, " ");
    for (size_t w = 0; w < WORDS; w++) {
        if (length != strlen(words[w]) || strncmp(line, words[w], length) != 0)
            continue;
        line += length + strspn(line + length, " ");
        assert_true(row->counts[w] < CELLS_MAX);
        row->cells[w][row->counts[w]++] = line;
        return;
    }
    buf_printf(&table->problems, "%s: '%s' is not one of seen, killed, refused\n", row->fault,
               line);
}

static void read_table(struct table *table, char *text)
{
    char *rest = text;
    struct row *row = NULL;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (*line == '\0' || *line == '#')
            continue;
        if (*line == ' ') {
            assert_non_null(row);
            read_cell(table, row, line + strspn(line, " "));
            continue;
        }
        assert_true(table->count < ROWS_MAX);
        if (find_row(table, line) != NULL)
            buf_printf(&table->problems, "%s: it is there twice\n", line);
        row = &table->rows[table->count++];
        *row = (struct row){.fault = line};
    }
}

/* ---- The tests that are named ---- */

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* As `it "NAME" `, or as a static function that is also used, or it would not compile. */
static bool has_test(struct arena *arena, const char *text, const char *path, const char *name)
{
    size_t length = strlen(name);
    if (strcmp(path + strlen(path) - 3, ".sh") == 0)
        return strstr(text, arena_printf(arena, "\nit \"%s\" ", name)) != NULL;
    const char *defined =
        strstr(text, arena_printf(arena, "\nstatic void %s(void **state)\n", name));
    const char *used = defined == NULL ? NULL : strchr(defined + 1, '\n');
    while (used != NULL && (used = strstr(used, name)) != NULL) {
        if (!is_word(used[-1]) && !is_word(used[length]))
            return true;
        used += length;
    }
    return false;
}

static bool is_there(struct table *table, const char *cell)
{
    static const char *const places[] = {"tests/integration/%.*s_test.sh",
                                         "tests/integration/%.*s_test.c", "tests/unit/%.*s_test.c"};
    const char *colon = strstr(cell, ": ");
    for (size_t i = 0; colon != NULL && i < sizeof places / sizeof *places; i++) {
        char path[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, sizeof path, places[i], (int)(colon - cell), cell);
#pragma GCC diagnostic pop
        const char *text = read_source(&table->arena, path);
        if (text != NULL && has_test(&table->arena, text, path, colon + 2))
            return true;
    }
    return false;
}

/* "as FAULT: why" must lead to a test, in one step. */
static bool leads_somewhere(struct table *table, size_t word, const char *cell)
{
    const char *fault = cell + strlen("as "), *colon = strstr(fault, ": ");
    if (colon == NULL || colon[2] == '\0')
        return false;
    struct row *row =
        find_row(table, arena_printf(&table->arena, "%.*s", (int)(colon - fault), fault));
    return row != NULL && row->counts[word] > 0 && !text_starts(row->cells[word][0], "as ") &&
           !text_starts(row->cells[word][0], "none: ");
}

static void check_row(struct table *table, const struct row *row)
{
    for (size_t w = 0; w < WORDS; w++) {
        if (row->counts[w] == 0)
            buf_printf(&table->problems, "%s: nothing is said of '%s'\n", row->fault, words[w]);
        for (size_t i = 0; i < row->counts[w]; i++) {
            const char *cell = row->cells[w][i];
            bool fine = text_starts(cell, "none: ") ? strlen(cell) > strlen("none: ")
                        : text_starts(cell, "as ")  ? leads_somewhere(table, w, cell)
                                                    : is_there(table, cell);
            if (!fine)
                buf_printf(&table->problems, "%s: %s: there is no such test: %s\n", row->fault,
                           words[w], cell);
        }
    }
}

/* ---- The registry ---- */

/* Words that draw one of the others. */
static bool draws(const char *choice)
{
    return strcmp(choice, "random") == 0 || strcmp(choice, "any") == 0 ||
           strcmp(choice, "auto") == 0;
}

static void expect_row(struct table *table, const char *fault)
{
    if (find_row(table, fault) == NULL)
        buf_printf(&table->problems, "%s: no test is named for it in tests/faults.txt\n", fault);
}

/* Every fault that there is; those of `packets.kind` are words that it joins as it likes. */
static void expect_registry(struct table *table)
{
    for (const struct nemesis *const *one = nemeses; *one != NULL; one++) {
        expect_row(table, (*one)->name);
        for (const struct option *option = (*one)->options; option != NULL && option->name != NULL;
             option++) {
            const char **choices;
            if (option->kind != OPTION_CHOICE)
                continue;
            size_t count = text_split(&table->arena, option->choices, '|', &choices);
            for (size_t i = 0; i < count; i++)
                if (!draws(choices[i]))
                    expect_row(table, arena_printf(&table->arena, "%s.%s=%s", (*one)->name,
                                                   option->name, choices[i]));
        }
    }
    for (size_t i = 0; packets_kinds[i] != NULL && strchr(packets_kinds[i], '+') == NULL; i++)
        expect_row(table, arena_printf(&table->arena, "packets.kind=%s", packets_kinds[i]));
}

static const struct option *find_option(const struct nemesis *nemesis, const char *name)
{
    for (const struct option *option = nemesis->options; option != NULL && option->name != NULL;
         option++)
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

/* "kill", "kill.times", "kill.signal=TERM" of what there is. */
static bool is_a_fault(struct arena *arena, const char *fault)
{
    char *name = arena_strdup(arena, fault), *option = strchr(name, '.');
    if (option != NULL)
        *option++ = '\0';
    const struct nemesis *nemesis = nemesis_find(name);
    if (nemesis == NULL || option == NULL)
        return nemesis != NULL;
    char *value = strchr(option, '=');
    if (value != NULL)
        *value++ = '\0';
    const struct option *declared = find_option(nemesis, option);
    return declared != NULL &&
           (value == NULL || option_check(declared, name, value, NULL) == ERR_NONE);
}

static void check_table(struct table *table, char *text)
{
    read_table(table, text);
    expect_registry(table);
    for (size_t i = 0; i < table->count; i++) {
        if (!is_a_fault(&table->arena, table->rows[i].fault))
            buf_printf(&table->problems, "%s: there is no such fault\n", table->rows[i].fault);
        check_row(table, &table->rows[i]);
    }
}

/* ---- Tests ---- */

static void every_fault_has_its_tests(void **state)
{
    (void)state;
    static struct table table;
    char *text = read_source(&table.arena, "tests/faults.txt");
    assert_non_null(text);
    check_table(&table, text);
    if (table.problems.length > 0)
        fail_msg("tests/faults.txt:\n%s", table.problems.data);
    assert_true(table.count > 80);
    buf_free(&table.problems);
    arena_free(&table.arena);
}

/* The judge is judged: each of these is complained of. */
static void what_is_wrong_with_a_table_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *problem;
    } wrongs[] = {
        {"\nclog\n", "\nclot\n", "clog: no test is named for it"},
        {"\nclog\n", "\nclot\n", "clot: there is no such fault"},
        {"\nkill.signal=TERM\n", "\nkill.signal=TORM\n", "kill.signal=TERM: no test is named"},
        {"\npackets.kind=loss\n", "\npackets.kind=lass\n", "packets.kind=loss: no test is named"},
        {": clogging cuts all, and lets go", ": clogging cuts all",
         "clog: seen: there is no such test: e2e_shapes: clogging cuts all\n"},
        {"agent_limits: hogs_weigh_what_was_asked_and_no_more\n", "agent_limits: hogs_weigh_what\n",
         "there is no such test: agent_limits: hogs_weigh_what\n"},
        {"as ec2: the same", "as ec3: the same", "refused: there is no such test: as ec3"},
        {"as ec2: the same", "as ec2.action=reboot: the same", "there is no such test: as ec2.a"},
        {"  killed   e2e_killed: flapping ends\n", "\n", "flap: nothing is said of 'killed'"},
        {"none: nothing brings it back", "none; nothing brings it back", "killed: there is no su"},
    };
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        static struct table table;
        table = (struct table){.arena = ARENA_INIT};
        char *text = read_source(&table.arena, "tests/faults.txt");
        char *at = strstr(text, wrongs[i].old);
        assert_non_null(at);
        *at = '\0';
        check_table(&table, arena_printf(&table.arena, "%s%s%s", text, wrongs[i].new,
                                         at + strlen(wrongs[i].old)));
        assert_contains(buf_text(&table.problems), wrongs[i].problem);
        buf_free(&table.problems);
        arena_free(&table.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_has_its_tests),
        cmocka_unit_test(what_is_wrong_with_a_table_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
