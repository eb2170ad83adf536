/* The log of a run: see log.h. */
#include "harness/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "harness/base/buf.h"
#include "harness/base/clock.h"

struct log {
    pthread_mutex_t lock;
    enum log_quiet quiet;
    bool live;
    FILE *file;
    struct buf before_file; /* lines from before there was one */
    struct buf status;      /* the live line now shown */
};

struct log *log_open(enum log_quiet quiet)
{
    struct log *log = calloc(1, sizeof *log);
    if (log == NULL)
        abort();
    pthread_mutex_init(&log->lock, NULL);
    log->quiet = quiet;
    const char *terminal = getenv("TERM");
    log->live = quiet == LOG_TALK && isatty(STDERR_FILENO) != 0 && terminal != NULL &&
                strcmp(terminal, "dumb") != 0;
    return log;
}

enum err_code log_to_file(struct log *log, const char *path, struct err *err)
{
    FILE *file = fopen(path, "ae");
    if (file == NULL)
        return err_errno(err, errno, "create %s", path);
    setvbuf(file, NULL, _IOLBF, 0);
    pthread_mutex_lock(&log->lock);
    fwrite(buf_text(&log->before_file), 1, log->before_file.length, file);
    buf_clear(&log->before_file);
    log->file = file;
    pthread_mutex_unlock(&log->lock);
    return ERR_NONE;
}

void log_close(struct log *log)
{
    if (log == NULL)
        return;
    log_status(log, "");
    if (log->file != NULL)
        fclose(log->file);
    buf_free(&log->before_file);
    buf_free(&log->status);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

/* Under the lock. What comes from nodes may hold anything: a terminal must not obey it. */
static void write_line(struct log *log, char *text, bool to_stderr)
{
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    char stamp[40];
    clock_format_utc(clock_wall_ns(), stamp, sizeof stamp);
    if (log->file != NULL)
        fprintf(log->file, "%s %s\n", stamp, text);
    else
        buf_printf(&log->before_file, "%s %s\n", stamp, text);
    if (!to_stderr)
        return;
    if (log->status.length > 0)
        fprintf(stderr, "\r\033[K%s\n%s", text, log->status.data);
    else
        fprintf(stderr, "%s\n", text);
    fflush(stderr);
}

void log_vline(struct log *log, const char *format, va_list arguments)
{
    struct buf text = BUF_INIT;
    buf_vprintf(&text, format, arguments);
    buf_reserve(&text, 0);
    pthread_mutex_lock(&log->lock);
    write_line(log, text.data, log->quiet == LOG_TALK);
    pthread_mutex_unlock(&log->lock);
    buf_free(&text);
}

void log_line(struct log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_vline(log, format, arguments);
    va_end(arguments);
}

void log_problem(struct log *log, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    buf_reserve(&text, 0);
    pthread_mutex_lock(&log->lock);
    write_line(log, text.data, true);
    pthread_mutex_unlock(&log->lock);
    buf_free(&text);
}

void log_status(struct log *log, const char *text)
{
    if (!log->live)
        return;
    struct winsize size = {.ws_col = 0};
    int columns =
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
    pthread_mutex_lock(&log->lock);
    if (log->status.length > 0 || *text != '\0')
        fprintf(stderr, "\r\033[K%.*s", columns - 1, text);
    fflush(stderr);
    buf_clear(&log->status);
    buf_printf(&log->status, "%.*s", columns - 1, text);
    pthread_mutex_unlock(&log->lock);
}

bool log_is_live(const struct log *log)
{
    return log->live;
}
