/* Where the parts of a directory's own disk are: see disks_place.h. */
#include "harness/agent/disks_place.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/agent/strict_fs.h"
#include "harness/base/crc32c.h"

static enum agentd_file_system file_system_of(const struct agentd_disk *disk)
{
    static const char xfs[] = {'X', 'F', 'S', 'B'};
    char magic[sizeof xfs] = {0};
    if (access(disk->backing, F_OK) == 0)
        return AGENTD_STRICT;
    int fd = open(disk->image, O_RDONLY | O_CLOEXEC);
    bool is_xfs = fd >= 0 && read(fd, magic, sizeof magic) == (ssize_t)sizeof magic &&
                  memcmp(magic, xfs, sizeof xfs) == 0;
    if (fd >= 0)
        close(fd);
    return is_xfs ? AGENTD_XFS : AGENTD_EXT4;
}

enum err_code agentd_disk_locate(struct agentd_disk *disk, const char *path, struct err *err)
{
    if (path[0] != '/' || path[1] == '\0' || strlen(path) > AGENTD_DISK_PATH_MAX ||
        strstr(path, "..") != NULL)
        return err_set(err, ERR_CONFIG, "path: '%.100s' is no full path of at most %d bytes", path,
                       AGENTD_DISK_PATH_MAX);
    uint32_t name = crc32c(0, path, strlen(path));
    snprintf(disk->path, sizeof disk->path, "%s", path);
    snprintf(disk->id, sizeof disk->id, "disk:%s", disk->path);
    snprintf(disk->stall_id, sizeof disk->stall_id, "stall:%s", disk->path);
    snprintf(disk->image, sizeof disk->image, AGENTD_DISKS "/%08x.img", name);
    snprintf(disk->backing, sizeof disk->backing, AGENTD_DISKS "/%08x.strict", name);
    snprintf(disk->mount, sizeof disk->mount, AGENTD_DISKS "/%08x", name);
    snprintf(disk->data, sizeof disk->data, AGENTD_DISKS "/%08x/" STRICT_FS_DATA, name);
    snprintf(disk->marker, sizeof disk->marker, AGENTD_DISKS "/%08x/unsynced", name);
    snprintf(disk->probe, sizeof disk->probe, AGENTD_DISKS "/%08x/probe", name);
    snprintf(disk->fault_probe, sizeof disk->fault_probe, AGENTD_DISKS "/%08x/" STRICT_FS_PROBE,
             name);
    snprintf(disk->fill, sizeof disk->fill, AGENTD_DISKS "/%08x/fill", name);
    disk->file_system = file_system_of(disk);
    return ERR_NONE;
}

enum err_code agentd_disk_locate_given(const struct agentd_faults *faults, const char *path,
                                       struct agentd_disk *disk, struct err *err)
{
    enum err_code code = agentd_disk_locate(disk, path, err);
    struct agentd_faults *known = (struct agentd_faults *)(uintptr_t)faults;
    if (code == ERR_NONE && agentd_faults_find(known, disk->id) == NULL)
        code = err_set(err, ERR_CONFIG, "path: %s has no disk of its own", path);
    return code;
}
