/* ordeal-agent: its arguments. What it does is in serve.c and commands.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/agent/agentd.h"
#include "harness/agent/capture.h"
#include "harness/agent/strict_fs.h"
#include "harness/base/clock.h"

static const char run_dir_default[] = "/run/ordeal";

static const char help[] =
    "ordeal-agent: injects faults on one node, and undoes every one of them.\n"
    "\n"
    "  ordeal-agent serve --owner TEXT [options]   speak the protocol on standard input and "
    "output\n"
    "      --owner TEXT        who this is for; told to whoever finds the node taken\n"
    "      --lease-ms N        undo everything and exit when nothing was heard for so long (0: "
    "never;\n"
    "                          default 30000)\n"
    "      --ssh CONNECTION    \"$SSH_CONNECTION\": never cut by a fault; may be repeated\n"
    "      --firewall KIND     nftables, iptables or none; default: what works, nftables first\n"
    "      --keep-daemons      leave the daemons running at the end\n"
    "  ordeal-agent heal                           end a living agent, undo whatever is left\n"
    "  ordeal-agent journal                        list what is in force\n"
    "      --run-dir DIR       lock and journal; default /run/ordeal (also for serve)\n"
    "  ordeal-agent strict-fs BACKING MOUNT        a file system that keeps no more than it must\n"
    "  ordeal-agent capture BYTES COMMAND..        keeps the newest packets of a tcpdump\n"
    "  ordeal-agent --help | --version\n"
    "\n"
    "Exit status: 0 done, 1 something could not be undone, 3 another agent has the node,\n"
    "254 bad arguments, 255 the agent itself failed.\n";

static _Noreturn void bad_arguments(const char *format, ...) FORMAT(1, 2);

static _Noreturn void bad_arguments(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("ordeal-agent: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs(" (see ordeal-agent --help)\n", stderr);
    va_end(arguments);
    exit(AGENTD_EXIT_ARGUMENTS);
}

static int64_t parse_lease(const char *text)
{
    char *end;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || number < 0 || number > INT32_MAX)
        bad_arguments("--lease-ms: '%s' is not a number of milliseconds", text);
    return number * NS_PER_MS;
}

static enum agentd_firewall_choice parse_firewall(const char *text)
{
    if (strcmp(text, "nftables") == 0)
        return AGENTD_FIREWALL_NFTABLES;
    if (strcmp(text, "iptables") == 0)
        return AGENTD_FIREWALL_IPTABLES;
    if (strcmp(text, "none") == 0)
        return AGENTD_FIREWALL_NONE;
    bad_arguments("--firewall: '%s' is not nftables, iptables or none", text);
}

static void add_connection(struct agentd_options *options, const char *text)
{
    struct err err = ERR_INIT;
    if (*text == '\0')
        return; /* "$SSH_CONNECTION" of somebody who did not come by SSH */
    if (options->control_count == AGENTD_CONTROL_MAX)
        bad_arguments("--ssh: more than %d connections", AGENTD_CONTROL_MAX);
    if (agentd_connection_parse(text, &options->control[options->control_count], &err) != ERR_NONE)
        bad_arguments("%s", err.message);
    options->control_count++;
}

static bool parse_serve_option(struct agentd_options *options, const char *name, const char *value)
{
    if (strcmp(name, "--owner") == 0)
        options->owner = value;
    else if (strcmp(name, "--lease-ms") == 0)
        options->lease_ns = parse_lease(value);
    else if (strcmp(name, "--ssh") == 0)
        add_connection(options, value);
    else if (strcmp(name, "--firewall") == 0)
        options->firewall = parse_firewall(value);
    else
        return false;
    return true;
}

static void parse_options(int count, char **arguments, bool serve, struct agentd_options *options)
{
    for (int i = 0; i < count; i++) {
        const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (strcmp(name, "--help") == 0) {
            fputs(help, stdout);
            exit(AGENTD_EXIT_DONE);
        }
        if (serve && strcmp(name, "--keep-daemons") == 0) {
            options->keep_daemons = true;
            continue;
        }
        if (strncmp(name, "--", 2) != 0)
            bad_arguments("'%s' is not an option", name);
        bool known = strcmp(name, "--run-dir") == 0;
        if (known && value != NULL)
            options->run_dir = value;
        else if (serve && value != NULL)
            known = parse_serve_option(options, name, value);
        else if (value == NULL)
            bad_arguments("%s: unknown, or its value is missing", name);
        if (!known)
            bad_arguments("%s: there is no such option", name);
        i++;
    }
    if (options->run_dir[0] != '/' || strlen(options->run_dir) > 3000)
        bad_arguments("--run-dir: '%.64s' is not an absolute path of at most 3000 bytes",
                      options->run_dir);
}

int main(int count, char **arguments)
{
    const char *command = count > 1 ? arguments[1] : "";
    struct agentd_options options = {.run_dir = run_dir_default, .lease_ns = 30 * NS_PER_SECOND};
    if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0) {
        fputs(help, stdout);
        return AGENTD_EXIT_DONE;
    }
    if (strcmp(command, "--version") == 0) {
        printf("ordeal-agent %s, protocol %d\n", ORDEAL_VERSION, AGENTD_PROTOCOL);
        return AGENTD_EXIT_DONE;
    }
    if (strcmp(command, "strict-fs") == 0) {
        if (count != 4)
            bad_arguments("strict-fs: it wants BACKING and MOUNT");
        return strict_fs_run(arguments[2], arguments[3]);
    }
    if (strcmp(command, "capture") == 0) {
        long long bytes = count > 3 ? strtoll(arguments[2], NULL, 10) : 0;
        if (bytes < 1 << 20)
            bad_arguments("capture: it wants BYTES, at least a MiB, and a COMMAND");
        return agentd_command_capture(bytes, arguments + 3);
    }
    bool serve = strcmp(command, "serve") == 0, heal = strcmp(command, "heal") == 0;
    if (!serve && !heal && strcmp(command, "journal") != 0)
        bad_arguments(count > 1 ? "there is no command '%s'" : "a command is missing%s", command);
    parse_options(count - 2, arguments + 2, serve, &options);
    if (serve && (options.owner == NULL || strlen(options.owner) > 200))
        bad_arguments("--owner: serve needs it, in at most 200 bytes");
    if (serve)
        return agentd_serve(&options);
    return heal ? agentd_command_heal(options.run_dir) : agentd_command_journal(options.run_dir);
}
