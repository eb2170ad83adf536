/* A table on a terminal: columns as wide as they need to be, cut where they may not be. */
#ifndef ORDEAL_REPORTS_TEXT_TABLE_H
#define ORDEAL_REPORTS_TEXT_TABLE_H

#include "harness/base/arena.h"
#include "harness/base/buf.h"

enum { TEXT_TABLE_COLUMNS_MAX = 10 };

enum text_align { TEXT_LEFT, TEXT_RIGHT };

struct text_table {
    struct arena arena;
    size_t columns, cell_count, capacity;
    const char **cells; /* row by row; the first row is the heading */
    enum text_align align[TEXT_TABLE_COLUMNS_MAX];
    size_t most[TEXT_TABLE_COLUMNS_MAX]; /* widest allowed; 0: no limit */
    size_t elastic, line_width;          /* line_width 0: no column gives way */
};

/* `align` has a letter a column: 'l' or 'r'. */
void text_table_init(struct text_table *table, const char *align);
void text_table_free(struct text_table *table);
/* Widest that the column may be; longer cells end in "...". */
void text_table_limit(struct text_table *table, size_t column, size_t most);
/* The column that gives way (to 8 columns at least) when lines would be wider than `width`, the
 * indentation included. */
void text_table_elastic(struct text_table *table, size_t column, size_t width);
/* Adds a cell, row by row; copied and made visible. */
void text_table_add(struct text_table *table, const char *text);
/* Adds the table with `indent` blanks before each line. */
void text_table_print(const struct text_table *table, size_t indent, struct buf *out);

#endif
