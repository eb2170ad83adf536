/* Undoing a clock fault with nothing but its entry in the journal: see clocks.h.
 *
 * The entry names a number, the cookie, that every page of the fault has: so the processes are
 * found that were patched after the entry was written, and their children. */
#include "harness/agent/clocks.h"

#include <stdlib.h>

#include "harness/agent/faketime.h"

enum { ROUNDS_MAX = 8 };

/* True time at once for all that are patched (their forks share the page), then their own code
 * back. `left` counts those that were still patched. */
static enum err_code restore_all(uint64_t cookie, uint32_t *left, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct agentd_processes all;
    struct agentd_warps none = agentd_warps_none();
    struct err one = ERR_INIT;
    enum err_code first = ERR_NONE;
    *left = 0;
    agentd_processes_read(&arena, &all);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < all.count; i++) {
            const struct agentd_process *process = &all.items[i];
            uint64_t page, whose;
            if (process->kernel_thread || agentd_process_is_dead(process) ||
                agentd_vdso_look(process->pid, &page, &whose) != AGENTD_VDSO_PATCHED ||
                whose != cookie)
                continue;
            struct agentd_vdso_process patched = {process->pid, process->start, page};
            (*left)++;
            enum err_code code = pass == 0 ? agentd_vdso_write(process->pid, page, &none, &one)
                                           : agentd_vdso_restore(&patched, &one);
            if (code != ERR_NONE && pass == 1 && first == ERR_NONE)
                first = err_set(err, code, "%s", one.message);
        }
    arena_free(&arena);
    return first;
}

/* Again, since one that was patched may fork meanwhile. */
static enum err_code undo_vdso(uint64_t cookie, struct err *err)
{
    uint32_t left = 1;
    for (int round = 0; round < ROUNDS_MAX && left > 0; round++)
        if (restore_all(cookie, &left, err) != ERR_NONE)
            return err->code;
    return left == 0 ? ERR_NONE : err_set(err, ERR_IO, "%u processes are still patched", left);
}

enum err_code agentd_clock_undo(const struct agentd_entry *entry, struct err *err)
{
    const char *cookie = line_get(&entry->line, "cookie"), *file = line_get(&entry->line, "file");
    if (cookie != NULL)
        return undo_vdso(strtoull(cookie, NULL, 16), err);
    if (file != NULL)
        return agentd_faketime_write(file, 0, err);
    return err_set(err, ERR_PARSE, "a clock fault without cookie or file");
}
