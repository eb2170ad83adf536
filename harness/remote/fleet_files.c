/* Files to and from many nodes at once. See fleet.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/fleet_internal.h"

/* ---- Upload ---- */

/* The size is compared before the rename: when the connection dies in the middle, `cat` sees an end
 * of input like any other, and half a file would take the target's place. */
static void upload_script(const struct fleet_upload *upload, uint64_t size, struct buf *script)
{
    buf_add_text(script, "t=");
    buf_add_shell_word(script, upload->target);
    buf_add_text(script, "\n");
    if (upload->make_parents)
        buf_add_text(script, "mkdir -p -- \"$(dirname -- \"$t\")\" || exit\n");
    buf_printf(script,
               "[ ! -d \"$t\" ] || { echo \"$t is a directory\" >&2; exit 1; }\n"
               "a=$t.part.$$\n"
               "trap 'rm -f -- \"$a\"' 0\n"
               "umask 077\n"
               "cat >\"$a\" || exit\n"
               "n=$(wc -c <\"$a\")\n"
               "[ \"$n\" -eq %" PRIu64 " ] || { echo \"only $n bytes arrived\" >&2; exit 1; }\n"
               "chmod %04o \"$a\" && mv -f -- \"$a\" \"$t\"\n",
               size, (upload->mode != 0 ? upload->mode : 0644) & 07777);
}

static enum err_code open_source(struct errand *errand, const struct fleet_upload *upload,
                                 struct err *err)
{
    const char *name = errand->member->node->name;
    if (upload->source == NULL) {
        errand->input = upload->data;
        errand->input_left = upload->length;
        return ERR_NONE;
    }
    errand->input_fd = open(upload->source, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (errand->input_fd < 0 || fstat(errand->input_fd, &info) != 0)
        return err_errno(err, errno, "%s: upload %s", name, upload->source);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_CONFIG, "%s: upload %s: it is not a regular file", name,
                       upload->source);
    errand->input_left = (size_t)info.st_size;
    return ERR_NONE;
}

static void prepare_upload(struct errand *errand, struct fleet *fleet,
                           const struct fleet_upload *upload)
{
    struct errand source = {.member = &fleet->members[upload->node], .input_fd = -1};
    struct err err = ERR_INIT;
    open_source(&source, upload, &err);
    struct buf script = BUF_INIT;
    upload_script(upload, source.input_left, &script);
    int64_t timeout_ns = upload->timeout_ns;
    if (timeout_ns <= 0)
        timeout_ns =
            fleet->options.command_timeout_ns + (int64_t)(source.input_left >> 20) * NS_PER_SECOND;
    struct command command = {
        .text = buf_text(&script), .as_root = upload->as_root, .timeout_ns = timeout_ns};
    errand_prepare(errand, fleet, upload->node, &command);
    buf_free(&script);
    errand->input = source.input;
    errand->input_fd = source.input_fd;
    errand->input_left = source.input_left;
    if (err.code != ERR_NONE)
        errand->err = err;
    snprintf(errand->label, sizeof errand->label, "upload to %s", upload->target);
}

/* A transfer that failed on the node, told without the script that nobody wrote. */
static void transfer_failed(struct errand *errand, struct err *err)
{
    if (errand->err.code == ERR_NONE && errand->output.status != 0) {
        struct err whole = ERR_INIT;
        command_failed(errand->member->node, errand->label, &errand->output, &whole);
        if (errand->output.err.length == 0)
            errand->err = whole;
        else /* the tools name themselves and what they did: "cat: write error: ..." */
            err_set(&errand->err, ERR_REMOTE, "%s: %s: %s", errand->member->node->name,
                    errand->label, buf_text(&errand->output.err));
    }
    *err = errand->err;
}

enum err_code fleet_upload(struct fleet *fleet, struct fleet_upload *uploads, size_t count,
                           struct err *err)
{
    struct errand **errands = errand_array(count);
    const struct err **errs = fleet_allocate(count, sizeof *errs);
    uint32_t *nodes = fleet_allocate(count, sizeof *nodes);
    for (size_t i = 0; i < count; i++) {
        prepare_upload(errands[i], fleet, &uploads[i]);
        nodes[i] = uploads[i].node;
        errs[i] = &uploads[i].err;
    }
    errands_run(fleet, errands, count);
    for (size_t i = 0; i < count; i++)
        transfer_failed(errands[i], &uploads[i].err);
    enum err_code code = fleet_sum_up(fleet, nodes, errs, count, err);
    free(nodes);
    free(errs);
    errand_array_free(errands, count);
    return code;
}

/* ---- Download ---- */

static char *aside_name(const struct fleet_download *download)
{
    struct buf name = BUF_INIT;
    buf_printf(&name, "%s.part.%d.%" PRIu32, download->target, (int)getpid(), download->node);
    return buf_take(&name);
}

static void prepare_download(struct errand *errand, struct fleet *fleet,
                             const struct fleet_download *download, const char *aside)
{
    struct buf text = BUF_INIT;
    buf_add_text(&text, "exec cat -- ");
    buf_add_shell_word(&text, download->source);
    struct command command = {.text = buf_text(&text),
                              .as_root = download->as_root,
                              .timeout_ns = download->timeout_ns > 0
                                                ? download->timeout_ns
                                                : 10 * fleet->options.command_timeout_ns};
    errand_prepare(errand, fleet, download->node, &command);
    buf_free(&text);
    snprintf(errand->label, sizeof errand->label, "download of %s", download->source);
    if (errand->err.code != ERR_NONE)
        return;
    errand->output_fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (errand->output_fd < 0)
        err_errno(&errand->err, errno, "%s: %s: %s", errand->member->node->name, errand->label,
                  aside);
}

static void finish_download(struct errand *errand, struct fleet_download *download,
                            const char *aside)
{
    transfer_failed(errand, &download->err);
    if (download->err.code == ERR_NONE && rename(aside, download->target) != 0)
        err_errno(&download->err, errno, "%s: %s: rename to %s", errand->member->node->name,
                  errand->label, download->target);
    if (download->err.code != ERR_NONE && errand->output_fd >= 0)
        unlink(aside);
}

enum err_code fleet_download(struct fleet *fleet, struct fleet_download *downloads, size_t count,
                             struct err *err)
{
    struct errand **errands = errand_array(count);
    char **asides = fleet_allocate(count, sizeof *asides);
    const struct err **errs = fleet_allocate(count, sizeof *errs);
    uint32_t *nodes = fleet_allocate(count, sizeof *nodes);
    for (size_t i = 0; i < count; i++) {
        asides[i] = aside_name(&downloads[i]);
        prepare_download(errands[i], fleet, &downloads[i], asides[i]);
        nodes[i] = downloads[i].node;
        errs[i] = &downloads[i].err;
    }
    errands_run(fleet, errands, count);
    for (size_t i = 0; i < count; i++) {
        finish_download(errands[i], &downloads[i], asides[i]);
        free(asides[i]);
    }
    enum err_code code = fleet_sum_up(fleet, nodes, errs, count, err);
    free(nodes);
    free(errs);
    free(asides);
    errand_array_free(errands, count);
    return code;
}
