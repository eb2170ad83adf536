/* ordeal-queue: a replicated job queue. Arguments only. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "queue/defect.h"
#include "queue/server.h"

enum { STATUS_BAD_ARGUMENTS = 2 };

static void print_help(void)
{
    uint32_t count;
    const struct config_setting *settings = config_settings(&count);
    printf("ordeal-queue: a replicated job queue over the Redis protocol\n\n"
           "  ordeal-queue --dir DIR [--config FILE] [--SETTING VALUE ...]\n\n"
           "Settings, with what holds without them; in a file: lines of `name value`.\n\n");
    for (uint32_t i = 0; i < count; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", settings[i].name,
                 settings[i].argument ? settings[i].argument : "");
        printf("  %-36s %s\n", left, settings[i].summary);
    }
    printf("  %-36s %s\n  %-36s %s\n  %-36s %s\n", "--config FILE", "reads settings from a file",
           "--help", "this", "--version", "the version");
    printf("\nSIGTERM hands leadership over and ends the server. "
           "What clients may say: man ordeal-queue.\n");
#ifdef ORDEAL_QUEUE_DEFECTS
    printf("  %-36s %s\n", "--defect NAME", "break one promise:");
    for (int i = 0; i < DEFECT_COUNT; i++)
        printf("  %-36s   %s\n", "", queue_defect_name((enum defect)i));
#endif
}

static int complain(const char *message)
{
    fprintf(stderr, "ordeal-queue: %s\n", message);
    return STATUS_BAD_ARGUMENTS;
}

/* 1: something was printed and that was all; 0: go on. */
static int apply_word(struct config *config, const char *name, const char *value,
                      struct queue_error *error)
{
#ifdef ORDEAL_QUEUE_DEFECTS
    if (strcmp(name, "defect") == 0) {
        enum defect defect = queue_defect_find(value);
        if (defect == DEFECT_COUNT) {
            queue_error_set(error, "there is no defect %.60s; --help lists them", value);
            return -1;
        }
        queue_defect_set(defect, true);
        return 0;
    }
#endif
    bool good = strcmp(name, "config") == 0 ? config_read(config, value, error)
                                            : config_set(config, name, value, error);
    return good ? 0 : -1;
}

int main(int argument_count, char **arguments)
{
    struct config config;
    struct queue_error error;
    config_default(&config);
    for (int i = 1; i < argument_count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--help") == 0) {
            print_help();
            return 0;
        }
        if (strcmp(name, "--version") == 0) {
            printf("ordeal-queue %s\n", ORDEAL_VERSION);
            return 0;
        }
        if (strncmp(name, "--", 2) != 0)
            return complain("settings begin with --; try --help");
        char word[64];
        snprintf(word, sizeof word, "%s", name + 2);
        char *equals = strchr(word, '=');
        const char *value;
        if (equals != NULL) {
            *equals = '\0';
            value = strchr(name, '=') + 1;
        } else if (strcmp(word, "join") == 0) {
            value = "yes";
        } else if (++i < argument_count) {
            value = arguments[i];
        } else {
            return complain("the last setting lacks its value; try --help");
        }
        if (apply_word(&config, word, value, &error) < 0)
            return complain(error.message);
    }
    if (!config_check(&config, &error))
        return complain(error.message);
    return server_run(&config);
}
