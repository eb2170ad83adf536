/* A table on a terminal: see text_table.h. */
#include "reports/text_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "reports/visible.h"

enum { ELASTIC_MIN = 8 };

void text_table_init(struct text_table *table, const char *align)
{
    *table = (struct text_table){.arena = ARENA_INIT, .columns = strlen(align)};
    assert(table->columns <= TEXT_TABLE_COLUMNS_MAX);
    for (size_t i = 0; i < table->columns; i++)
        table->align[i] = align[i] == 'r' ? TEXT_RIGHT : TEXT_LEFT;
}

void text_table_free(struct text_table *table)
{
    arena_free(&table->arena);
}

void text_table_limit(struct text_table *table, size_t column, size_t most)
{
    table->most[column] = most;
}

static void grow(struct text_table *table)
{
    size_t capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
    const char **cells = arena_alloc(&table->arena, capacity * sizeof *cells);
    if (table->cell_count > 0)
        memcpy(cells, table->cells, table->cell_count * sizeof *cells);
    table->cells = cells;
    table->capacity = capacity;
}

void text_table_elastic(struct text_table *table, size_t column, size_t width)
{
    table->elastic = column;
    table->line_width = width;
}

void text_table_add(struct text_table *table, const char *text)
{
    if (table->cell_count == table->capacity)
        grow(table);
    size_t most = table->most[table->cell_count % table->columns];
    struct buf shown = BUF_INIT;
    visible_add_cut(&shown, text, strlen(text), most >= 3 ? most : SIZE_MAX);
    table->cells[table->cell_count++] =
        arena_strndup(&table->arena, buf_text(&shown), shown.length);
    buf_free(&shown);
}

static size_t width_of(const struct text_table *table, size_t column)
{
    size_t widest = 0;
    for (size_t i = column; i < table->cell_count; i += table->columns) {
        size_t columns = visible_columns(table->cells[i], strlen(table->cells[i]));
        widest = columns > widest ? columns : widest;
    }
    return widest;
}

static void find_widths(const struct text_table *table, size_t indent, size_t *width)
{
    size_t total = indent;
    for (size_t i = 0; i < table->columns; i++) {
        width[i] = width_of(table, i);
        total += width[i] + (i > 0 ? 2 : 0);
    }
    if (table->line_width == 0 || total <= table->line_width)
        return;
    size_t *elastic = &width[table->elastic], excess = total - table->line_width;
    size_t least = *elastic < ELASTIC_MIN ? *elastic : ELASTIC_MIN;
    *elastic = *elastic > excess + least ? *elastic - excess : least;
}

void text_table_print(const struct text_table *table, size_t indent, struct buf *out)
{
    size_t width[TEXT_TABLE_COLUMNS_MAX];
    find_widths(table, indent, width);
    for (size_t i = 0; i + table->columns <= table->cell_count; i += table->columns) {
        size_t pending = indent; /* blanks not yet added, so that no line ends in any */
        for (size_t j = 0; j < table->columns; j++) {
            struct buf cell = BUF_INIT;
            const char *text = table->cells[i + j];
            visible_add_cut(&cell, text, strlen(text), width[j] >= 3 ? width[j] : SIZE_MAX);
            size_t blanks = width[j] - visible_columns(buf_text(&cell), cell.length);
            pending += table->align[j] == TEXT_RIGHT ? blanks : 0;
            if (cell.length > 0) {
                buf_printf(out, "%*s", (int)pending, "");
                buf_add(out, cell.data, cell.length);
                pending = 0;
            }
            pending += 2 + (table->align[j] == TEXT_LEFT ? blanks : 0);
            buf_free(&cell);
        }
        buf_add_char(out, '\n');
    }
}
