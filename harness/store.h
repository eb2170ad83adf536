/* The store: one directory a run, store/<test name>/<UTC time>/. Every file appears whole (written
 * aside, synced, renamed), but for the history, the schedule and the log, which grow. */
#ifndef ORDEAL_STORE_H
#define ORDEAL_STORE_H

#include "harness/base/arena.h"
#include "harness/reporter.h"

/* Makes the run's directory, which lives in the arena, and points store/latest and
 * store/<name>/latest at it. */
enum err_code store_create(const char *store, const char *test_name, struct arena *arena,
                           const char **directory, struct err *err);
/* "<directory>/<name>" */
const char *store_path(struct arena *arena, const char *directory, const char *name);
enum err_code store_write_json(const char *directory, const char *name, const struct json *json,
                               struct err *err);

/* A stored run, read back. Parts that are missing are NULL or empty; parts that are damaged are
 * errors. */
struct stored_run {
    struct arena arena;
    struct run run; /* for reporters; its parts are owned here */
    struct json *plan, *results, *schedule;
    struct history history;
    bool has_history; /* there is a file of one, whatever is in it */
    struct buf notes; /* what was odd about it, one sentence a line: a history cut short, ... */
};
enum err_code store_read(const char *directory, struct stored_run *stored, struct err *err);
/* A bare history, dressed as a run of which nothing else is known: init, then read_history; free in
 * any case. */
void store_init(struct stored_run *stored);
enum err_code store_read_history(const char *path, const char *format, struct stored_run *stored,
                                 struct err *err);
void store_free(struct stored_run *stored);
/* The lines of a run's schedule.jsonl as an array that the caller frees; *lines is left alone when
 * there is no such file. What is damaged is left out and said in `notes`. */
enum err_code store_read_schedule(const char *directory, struct json **lines, struct buf *notes,
                                  struct err *err);

/* Renders with every reporter that has a file name, into the run's directory. All are tried; the
 * first error is returned. */
enum err_code store_render(const struct run *run, struct err *err);
/* Renders with one into a file, written aside. */
enum err_code store_render_to(const struct run *run, const struct reporter *reporter,
                              const char *path, struct err *err);

#endif
