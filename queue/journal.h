/* The server's own log: one line an event, `time level event key=value ...`, on standard error. */
#ifndef ORDEAL_QUEUE_JOURNAL_H
#define ORDEAL_QUEUE_JOURNAL_H

enum journal_level { JOURNAL_DEBUG, JOURNAL_INFO, JOURNAL_WARNING, JOURNAL_ERROR };

/* Before the first thread; lines below this level are dropped. Starts as JOURNAL_INFO. */
void journal_level_set(enum journal_level level);
enum journal_level journal_level(void);
const char *journal_level_name(enum journal_level level);

/* One line; line ends in the text become spaces. Any thread. */
void journal_write(enum journal_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
