/* The vDSO, ours and others': where its functions are, and whether they are patched. See vdso.h. */
#include "harness/agent/vdso.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/uio.h>
#include <unistd.h>

#include "harness/base/clock.h"

#define MEETING_NS (50 * NS_PER_MS)

enum { AUXV_ENTRIES_MAX = 64 };

int64_t agentd_warp_apply(const struct agentd_warp *warp, int64_t true_ns)
{
    return warp->base_told_ns +
           (int64_t)(((__int128)(true_ns - warp->base_true_ns) * warp->rate) >> 32);
}

struct agentd_warps agentd_warps_none(void)
{
    return (struct agentd_warps){.wall = {.rate = AGENTD_RATE_ONE},
                                 .monotonic = {.rate = AGENTD_RATE_ONE}};
}

/* ---- Ours ---- */

struct tables {
    const Elf64_Sym *symbols;
    const char *names;
    uint64_t size;
};

static void read_headers(const uint8_t *bytes, struct tables *tables)
{
    const Elf64_Ehdr *header = (const void *)bytes;
    const Elf64_Phdr *segments = (const void *)(bytes + header->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(bytes + segments[i].p_offset);
        if (segments[i].p_type == PT_LOAD)
            tables->size = segments[i].p_memsz;
    }
    for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_SYMTAB)
            tables->symbols = (const void *)(bytes + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_STRTAB)
            tables->names = (const char *)bytes + dynamic->d_un.d_ptr;
    }
}

/* 0 when it is missing, or too small to hold a jump. The string table follows the symbols. */
static uint64_t find_function(const struct tables *tables, const char *name)
{
    const Elf64_Sym *symbol = tables->symbols;
    for (; symbol != NULL && (const char *)(symbol + 1) <= tables->names; symbol++)
        if (strcmp(tables->names + symbol->st_name, name) == 0)
            return symbol->st_size >= AGENTD_VDSO_JUMP_BYTES ? symbol->st_value : 0;
    return 0;
}

static void read_image(struct agentd_vdso_image *image)
{
    static const char *const names[] = {"__vdso_clock_gettime", "__vdso_gettimeofday",
                                        "__vdso_time"};
    struct tables tables = {.size = 0};
    image->bytes = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
#ifndef __x86_64__
    image->bytes = NULL;
    snprintf(image->reason, sizeof image->reason, "vDSOs are only patched on x86-64");
    return;
#endif
    if (image->bytes == NULL) {
        snprintf(image->reason, sizeof image->reason, "this kernel gives processes no vDSO");
        return;
    }
    read_headers(image->bytes, &tables);
    for (int i = 0; i < AGENTD_VDSO_FUNCTIONS; i++) {
        image->functions[i] = find_function(&tables, names[i]);
        if (image->functions[i] == 0)
            snprintf(image->reason, sizeof image->reason, "this kernel's vDSO has no %s to patch",
                     names[i]);
    }
    for (uint64_t at = sizeof(Elf64_Ehdr); at + 1 < tables.size && image->syscall == 0; at++)
        if (image->bytes[at] == 0x0f && image->bytes[at + 1] == 0x05)
            image->syscall = at;
    if (image->syscall == 0 && image->reason[0] == '\0')
        snprintf(image->reason, sizeof image->reason, "this kernel's vDSO makes no system call");
}

const struct agentd_vdso_image *agentd_vdso_image(void)
{
    static struct agentd_vdso_image image;
    static bool read;
    if (!read)
        read_image(&image);
    read = true;
    return &image;
}

/* ---- Another process' memory ---- */

bool agentd_vdso_peek(pid_t pid, uint64_t address, void *bytes, size_t size)
{
    struct iovec here = {.iov_base = bytes, .iov_len = size};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
    return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

bool agentd_vdso_poke(pid_t pid, uint64_t address, const void *bytes, size_t size)
{
    struct iovec here = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
    return process_vm_writev(pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

/* From what the kernel told it when it was started; that of a 32-bit process reads as nothing. */
enum agentd_vdso_state agentd_vdso_address(pid_t pid, uint64_t *address)
{
    char path[64];
    Elf64_auxv_t entries[AUXV_ENTRIES_MAX];
    snprintf(path, sizeof path, "/proc/%d/auxv", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, entries, sizeof entries);
    if (fd >= 0)
        close(fd);
    if (length <= 0) /* also of what is dead and not reaped yet */
        return AGENTD_VDSO_GONE;
    for (ssize_t i = 0; i < length / (ssize_t)sizeof entries[0]; i++)
        if (entries[i].a_type == AT_SYSINFO_EHDR) {
            *address = entries[i].a_un.a_val;
            return AGENTD_VDSO_CLEAN;
        }
    return AGENTD_VDSO_NONE;
}

/* ---- Patched or not ---- */

static bool is_page(pid_t pid, uint64_t address, struct agentd_vdso_page *page)
{
    return agentd_vdso_peek(pid, address, page, sizeof *page) &&
           memcmp(page->magic, AGENTD_VDSO_MAGIC, sizeof page->magic) == 0;
}

enum agentd_vdso_state agentd_vdso_look(pid_t pid, uint64_t *page, uint64_t *cookie)
{
    const struct agentd_vdso_image *image = agentd_vdso_image();
    uint64_t base = 0;
    uint8_t header[sizeof(Elf64_Ehdr)], jump[AGENTD_VDSO_JUMP_BYTES];
    struct agentd_vdso_page data;
    uint64_t target;
    if (image->reason[0] != '\0')
        return AGENTD_VDSO_NONE;
    enum agentd_vdso_state state = agentd_vdso_address(pid, &base);
    if (state != AGENTD_VDSO_CLEAN)
        return state;
    if (!agentd_vdso_peek(pid, base, header, sizeof header)) /* it may have unmapped it */
        return kill(pid, 0) == 0 ? AGENTD_VDSO_NONE : AGENTD_VDSO_GONE;
    if (memcmp(header, image->bytes, sizeof header) != 0)
        return AGENTD_VDSO_NONE;
    for (int i = 0; i < AGENTD_VDSO_FUNCTIONS; i++) {
        if (!agentd_vdso_peek(pid, base + image->functions[i], jump, sizeof jump))
            return AGENTD_VDSO_GONE;
        if (memcmp(jump, image->bytes + image->functions[i], sizeof jump) == 0)
            continue;
        memcpy(&target, jump + 2, sizeof target);
        target -= agentd_payload_entry(i) + AGENTD_VDSO_PAGE_BYTES;
        if (!is_page(pid, target, &data))
            return AGENTD_VDSO_NONE; /* somebody else's patch */
        if (page != NULL)
            *page = target;
        if (cookie != NULL)
            *cookie = data.cookie;
        return AGENTD_VDSO_PATCHED;
    }
    return AGENTD_VDSO_CLEAN;
}

/* ---- The page ---- */

/* From where it is. The process reads on while this is written: when it is to run slower, the two
 * meet a little later, since behind the meeting the new one would be behind the old one. */
static void continue_monotonic(const struct agentd_warp *now, struct agentd_warp *next)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    next->base_true_ns = time.tv_sec * NS_PER_SECOND + time.tv_nsec;
    if (next->rate < now->rate)
        next->base_true_ns += MEETING_NS;
    next->base_told_ns = agentd_warp_apply(now, next->base_true_ns);
}

enum err_code agentd_vdso_write(pid_t pid, uint64_t page, const struct agentd_warps *warps,
                                struct err *err)
{
    struct agentd_vdso_page data;
    if (!is_page(pid, page, &data))
        return err_set(err, ERR_IO, "process %d is gone", (int)pid);
    struct agentd_warps next = *warps;
    if (next.monotonic.rate != AGENTD_RATE_ONE)
        continue_monotonic(&data.slots[data.index & 1].monotonic, &next.monotonic);
    uint8_t index = (uint8_t)(data.index + 1);
    uint64_t slot = page + offsetof(struct agentd_vdso_page, slots) + (index & 1) * sizeof next;
    if (!agentd_vdso_poke(pid, slot, &next, sizeof next) ||
        !agentd_vdso_poke(pid, page + offsetof(struct agentd_vdso_page, index), &index, 1))
        return err_set(err, ERR_IO, "cannot write to process %d", (int)pid);
    return ERR_NONE;
}

bool agentd_vdso_read(pid_t pid, uint64_t page, struct agentd_warps *warps)
{
    struct agentd_vdso_page data;
    if (!is_page(pid, page, &data))
        return false;
    *warps = data.slots[data.index & 1];
    return true;
}
