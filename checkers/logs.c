/* Lines that must not be in the systems' own logs, as Jepsen's log-file-pattern has it.
 *
 * A system may know best that something went wrong: a panic that it survived, a disk that it calls
 * damaged. What it says is evidence where the faults of the run do not explain it; where one of
 * those that do was tried, the lines are told and nothing is concluded. */
#include <dirent.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checkers/checkers.h"
#include "checkers/fault_windows.h"

enum { PATH_BYTES = 4096, LINES_TOLD = 20, LINE_BYTES_TOLD = 300, DEPTH_MAX = 4 };

struct search {
    struct check_result *result;
    regex_t pattern;
    uint64_t files, lines, found;
    size_t root_length; /* of the path of the folder of all nodes */
    struct buf problem; /* the first file that could not be read */
};

/* "n1/queue.log:31: error damaged ..." */
static void tell(struct search *search, const char *path, uint64_t number, const char *line)
{
    struct buf text = BUF_INIT, title = BUF_INIT;
    if (search->found++ >= LINES_TOLD)
        return;
    const char *file = path + search->root_length + 1;
    buf_printf(&title, "%s, line %llu", file, (unsigned long long)number);
    buf_printf(&text, "The log %s says in line %llu: %.*s", file, (unsigned long long)number,
               LINE_BYTES_TOLD, line);
    json_set_text(check_anomaly(search->result, "log-line", title.data, text.data, NULL, 0), "key",
                  file);
    buf_free(&text);
    buf_free(&title);
}

static void search_file(struct search *search, const char *path)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        if (search->problem.length == 0)
            buf_printf(&search->problem, "cannot read %s: %s", path, strerror(errno));
        return;
    }
    search->files++;
    for (uint64_t number = 1; (length = getline(&line, &size, file)) >= 0; number++) {
        search->lines++;
        if (length > 0 && line[length - 1] == '\n')
            line[length - 1] = '\0';
        if (regexec(&search->pattern, line, 0, NULL, 0) == 0)
            tell(search, path, number, line);
    }
    free(line);
    fclose(file);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void search_folder(struct search *search, const char *path, int depth)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, by_name);
    for (int i = 0; i < count; i++) {
        char below[PATH_BYTES];
        struct stat status;
        const char *name = entries[i]->d_name;
        int length = snprintf(below, sizeof below, "%s/%s", path, name);
        if (name[0] != '.' && length < PATH_BYTES && lstat(below, &status) == 0) {
            if (S_ISDIR(status.st_mode) && depth < DEPTH_MAX)
                search_folder(search, below, depth + 1);
            else if (S_ISREG(status.st_mode))
                search_file(search, below);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* The first fault of a nemesis that is named in `names` and may have happened; NULL: none. */
static const char *excuse(const struct history *history, const char *names)
{
    struct fault_windows windows;
    const char *found = NULL;
    if (fault_windows_find(history, &windows) != ERR_NONE)
        return "no memory to look for faults";
    for (size_t i = 0; i < windows.count && found == NULL; i++) {
        const char *name = windows.items[i].nemesis->name;
        const char *at = strstr(names, name);
        size_t length = strlen(name);
        bool whole = at != NULL && (at == names || at[-1] == ',') &&
                     (at[length] == '\0' || at[length] == ',');
        if (whole && fault_happened(&windows.items[i]))
            found = name;
    }
    fault_windows_free(&windows);
    return found;
}

static void conclude(const struct check_input *input, const struct search *search)
{
    struct check_result *result = search->result;
    const char *names = option_text(&input->options, "logs.excused-by");
    const char *because = search->found > 0 ? excuse(input->history, names) : NULL;
    unsigned long long found = search->found;
    json_set_int(result->details, "file-count", (int64_t)search->files);
    json_set_int(result->details, "line-count", (int64_t)search->lines);
    json_set_int(result->details, "match-count", (int64_t)search->found);
    if (search->found > 0 && because == NULL)
        check_verdict(result, VERDICT_INVALID,
                      "%llu %s of the logs should never be there: the first in %s", found,
                      found == 1 ? "line" : "lines",
                      json_as_text(json_get(json_first(result->anomalies), "title"), "a file"));
    else if (search->found > 0)
        check_verdict(result, VERDICT_UNKNOWN,
                      "%llu %s of the logs should not be there, but %s may explain it", found,
                      found == 1 ? "line" : "lines", because);
    else if (search->files == 0 || search->problem.length > 0)
        check_verdict(result, VERDICT_UNKNOWN, "%s",
                      search->problem.length > 0 ? search->problem.data
                                                 : "there are no logs of the nodes");
    else
        check_verdict(result, VERDICT_VALID, "nothing of it in %llu lines of %llu logs",
                      (unsigned long long)search->lines, (unsigned long long)search->files);
}

static void check(const struct check_input *input, struct check_result *result)
{
    struct search search = {.result = result, .problem = BUF_INIT};
    const char *pattern = option_text(&input->options, "logs.pattern");
    char root[PATH_BYTES], why[200];
    if (*pattern == '\0' || input->run_directory == NULL) {
        check_verdict(result, VERDICT_UNKNOWN, "%s",
                      input->run_directory == NULL
                          ? "there is only a history: logs are in the directory of a run"
                          : "nothing to look for: give logs.pattern");
        return;
    }
    int failure = regcomp(&search.pattern, pattern, REG_EXTENDED | REG_NOSUB);
    if (failure != 0) {
        regerror(failure, &search.pattern, why, sizeof why);
        check_verdict(result, VERDICT_UNKNOWN, "logs.pattern: '%.100s': %s", pattern, why);
        return;
    }
    snprintf(root, sizeof root, "%s/nodes", input->run_directory);
    search.root_length = strlen(root);
    search_folder(&search, root, 0);
    regfree(&search.pattern);
    conclude(input, &search);
    buf_free(&search.problem);
}

static const struct option options[] = {
    {"pattern", OPTION_PATTERN, "", NULL,
     "what must not be in a line, an extended regular expression; systems may know one"},
    {"excused-by", OPTION_TEXT, "", NULL, "nemeses that explain such lines, separated by commas"},
    {.name = NULL},
};

const struct checker checker_logs = {
    .name = "logs",
    .summary = "no line of the systems' own logs matches logs.pattern",
    .options = options,
    .check = check,
};
