/* ordeal convert IN OUT: see cmd_convert.h. */
#include "harness/cli/cmd_convert.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "harness/histories/history_io.h"

enum { EXIT_ARGUMENTS = 254, EXIT_FAILED = 255 };

static const char usage[] =
    "usage: ordeal convert IN OUT [--from FORMAT] [--to FORMAT]\n"
    "\n"
    "Reads a history and writes it in another format. The formats are told by the files' names\n"
    "(.ordeal, .edn, .jsonl, .json, .log, .jepsen) or by name:\n"
    "  ordeal   ordeal's own file, in blocks with check sums\n"
    "  edn      Jepsen's history.edn, as Knossos and Elle read it\n"
    "  jsonl    JSON lines, one operation a line; nothing is lost\n"
    "  json     elle-cli's array; keywords become strings, sets become arrays\n"
    "  log      Jepsen's history.txt and jepsen.log; without times and other keys\n"
    "  jepsen   Jepsen's binary test.jepsen; only read\n"
    "\n"
    "IN may be a run directory, or - for standard input; OUT may be - for standard output.\n"
    "\n"
    "      --from FORMAT   what IN is, whatever its name\n"
    "      --to FORMAT     what OUT shall be\n"
    "  -h, --help          this text\n";

struct arguments {
    const char *in, *out, *from, *to;
};

enum outcome { CONVERT, HELPED, REFUSED };

static enum outcome parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    optind = 0; /* the main program has parsed arguments before */
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'f')
            arguments->from = optarg;
        else if (option == 't')
            arguments->to = optarg;
        else if (option == 'h') {
            fputs(usage, stdout);
            return HELPED;
        } else
            return REFUSED; /* getopt has said what is wrong */
    }
    if (argc - optind != 2) {
        fprintf(stderr, "ordeal convert: expected two files, IN and OUT, not %d\n", argc - optind);
        return REFUSED;
    }
    arguments->in = argv[optind];
    arguments->out = argv[optind + 1];
    return CONVERT;
}

static int fail(const struct err *err)
{
    fprintf(stderr, "ordeal convert: %s\n", err->message);
    return err->code == ERR_CONFIG ? EXIT_ARGUMENTS : EXIT_FAILED;
}

static void tell_notes(const char *in, const struct history *history,
                       const struct history_notes *notes)
{
    struct buf text = BUF_INIT;
    if (history->cut != NULL)
        fprintf(stderr, "%s: %s\n", in, history->cut);
    history_notes_print(notes, &text);
    for (char *line = strtok(text.data == NULL ? (char[]){""} : text.data, "\n"); line != NULL;
         line = strtok(NULL, "\n"))
        fprintf(stderr, "%s: %s\n", in, line);
    buf_free(&text);
}

int cmd_convert(int argc, char **argv)
{
    struct arguments arguments = {.in = NULL};
    enum outcome outcome = parse(argc, argv, &arguments);
    if (outcome == HELPED)
        return 0;
    if (outcome == REFUSED) {
        fputs("Try 'ordeal convert --help'.\n", stderr);
        return EXIT_ARGUMENTS;
    }
    struct err err = ERR_INIT;
    struct history history;
    struct history_notes notes;
    /* a bad name for the output should not be found out after minutes of reading */
    if (arguments.to == NULL && history_format_of(arguments.out) == NULL) {
        err_set(&err, ERR_CONFIG,
                "%s: its name does not tell the format to write: say it with --to", arguments.out);
        return fail(&err);
    }
    if (history_load(arguments.in, arguments.from, &history, &notes, &err) != ERR_NONE)
        return fail(&err);
    tell_notes(arguments.in, &history, &notes);
    enum err_code code = history_save(arguments.out, arguments.to, &history, &err);
    history_free(&history);
    return code == ERR_NONE ? 0 : fail(&err);
}
