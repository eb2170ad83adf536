/* What commands share: see cli.h. */
#include "harness/cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/run.h"

enum { OPTIONS_MAX = 64, HELP_COLUMN = 32, LINE_WIDTH = 96 };

static enum err_code unknown_option(const char *name, const struct cli_option *options,
                                    struct err *err)
{
    const char *names[OPTIONS_MAX];
    size_t count = 0;
    for (; options->name != NULL && count < OPTIONS_MAX; options++)
        names[count++] = options->name;
    const char *near = text_nearest(name, names, count);
    return err_set(err, ERR_CONFIG, "there is no option --%s%s%s%s", name,
                   near == NULL ? " (--help lists them)" : "; did you mean --",
                   near == NULL ? "" : near, near == NULL ? "" : "?");
}

enum err_code cli_parse(int argc, char **argv, const struct cli_option *options, cli_take *take,
                        void *state, bool *help, struct err *err)
{
    bool positional_only = false;
    *help = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (positional_only || word[0] != '-' || word[1] == '\0') {
            if (take(state, NULL, word, err) != ERR_NONE)
                return err->code;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            positional_only = true;
            continue;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *help = true;
            return ERR_NONE;
        }
        char name[64];
        const char *equals = strchr(word, '=');
        const char *begin = word + (word[1] == '-' ? 2 : 1);
        snprintf(name, sizeof name, "%.*s",
                 (int)(equals == NULL ? strlen(begin) : (size_t)(equals - begin)), begin);
        const struct cli_option *option = options;
        while (option->name != NULL && strcmp(option->name, name) != 0)
            option++;
        if (option->name == NULL || word[1] != '-')
            return unknown_option(name, options, err);
        const char *value = equals == NULL ? NULL : equals + 1;
        if (option->metavar == NULL && value == NULL)
            value = "true";
        if (value == NULL && i + 1 >= argc)
            return err_set(err, ERR_CONFIG, "--%s needs a value: --%s %s", name, name,
                           option->metavar);
        if (value == NULL)
            value = argv[++i];
        if (take(state, option->name, value, err) != ERR_NONE)
            return err->code;
    }
    return ERR_NONE;
}

void cli_print_option(const char *name, const char *metavar, const char *help, const char *fallback,
                      struct buf *out)
{
    size_t start = out->length;
    buf_printf(out, "  --%s%s%s", name, metavar == NULL ? "" : " ", metavar == NULL ? "" : metavar);
    size_t column = out->length - start;
    if (column >= HELP_COLUMN - 1) {
        buf_add_char(out, '\n');
        column = 0;
    }
    struct buf text = BUF_INIT;
    buf_add_text(&text, help);
    if (fallback != NULL)
        buf_printf(&text, " (default %s)", fallback);
    buf_printf(out, "%*s", (int)(HELP_COLUMN - column), "");
    column = HELP_COLUMN;
    for (const char *word = text.data; *word != '\0';) {
        size_t length = strcspn(word, " ");
        if (column + length > LINE_WIDTH && column > HELP_COLUMN) {
            buf_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        buf_add(out, word, length);
        column += length;
        word += length;
        if (*word == ' ') {
            buf_add_char(out, ' ');
            column++;
            word++;
        }
    }
    buf_add_char(out, '\n');
    buf_free(&text);
}

void cli_print_options(const struct cli_option *options, struct buf *out)
{
    for (; options->name != NULL; options++)
        cli_print_option(options->name, options->metavar, options->help, NULL, out);
}

int cli_fail(const struct err *err)
{
    fprintf(stderr, "ordeal: %s\n", err->message);
    return err->code == ERR_CONFIG ? EXIT_BAD_ARGUMENTS : EXIT_HARNESS_FAILED;
}

int cli_output(const struct buf *text, int status)
{
    if (fwrite(buf_text(text), 1, text->length, stdout) == text->length && fflush(stdout) == 0)
        return status;
    fprintf(stderr, "ordeal: standard output is closed or full\n");
    return EXIT_HARNESS_FAILED;
}
