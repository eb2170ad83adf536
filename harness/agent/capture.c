/* Keeping the newest packets: see capture.h.
 *
 * Two files take turns: when one is full the other is emptied and goes on, so that between half of
 * the bound and all of it is kept. Both are unlinked before anything is in them. */
#include "harness/agent/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HEADER_BYTES = 24, /* of the whole */
    RECORD_BYTES = 16, /* before each packet; its bytes' number is the third word */
    BUFFER_BYTES = 1 << 20,
    PACKET_BYTES_MAX = BUFFER_BYTES - RECORD_BYTES,
};
static const char directory[] = "/var/lib/ordeal";

struct capture {
    int64_t file_bytes_max, written;
    int fd, other; /* what is written now, and what was before */
    bool has_header, turned;
    unsigned char header[HEADER_BYTES];
    unsigned char buffer[BUFFER_BYTES];
    size_t length;
};

static int open_nameless(int wanted)
{
    char path[64];
    mkdir(directory, 0755);
    snprintf(path, sizeof path, "%s/capture-XXXXXX", directory);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || unlink(path) != 0 || dup3(fd, wanted, O_CLOEXEC) != wanted)
        return -1;
    close(fd);
    return wanted;
}

static bool write_all(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t done = write(fd, at, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        length -= (size_t)done;
    }
    return true;
}

/* The other file, emptied, goes on. */
static bool turn(struct capture *capture)
{
    int fd = capture->fd;
    capture->fd = capture->other;
    capture->other = fd;
    capture->turned = true;
    capture->written = HEADER_BYTES;
    return ftruncate(capture->fd, 0) == 0 && lseek(capture->fd, 0, SEEK_SET) == 0 &&
           write_all(capture->fd, capture->header, HEADER_BYTES);
}

/* All whole packets that are in the buffer. */
static bool take_packets(struct capture *capture)
{
    size_t at = 0;
    if (!capture->has_header && capture->length >= HEADER_BYTES) {
        memcpy(capture->header, capture->buffer, HEADER_BYTES);
        capture->has_header = true;
        capture->written = at = HEADER_BYTES;
        if (!write_all(capture->fd, capture->header, HEADER_BYTES))
            return false;
    }
    while (capture->has_header && capture->length - at >= RECORD_BYTES) {
        uint32_t bytes;
        memcpy(&bytes, capture->buffer + at + 8, sizeof bytes);
        if (bytes > PACKET_BYTES_MAX) {
            errno = EPROTO;
            return false;
        }
        size_t size = RECORD_BYTES + (size_t)bytes;
        if (capture->length - at < size)
            break;
        if (capture->written + (int64_t)size > capture->file_bytes_max && !turn(capture))
            return false;
        if (!write_all(capture->fd, capture->buffer + at, size))
            return false;
        capture->written += (int64_t)size;
        at += size;
    }
    memmove(capture->buffer, capture->buffer + at, capture->length - at);
    capture->length -= at;
    return true;
}

/* The older packets first, then the newer ones, in one file. */
static bool join(struct capture *capture)
{
    char bytes[65536];
    if (!capture->turned)
        return dup3(capture->fd, CAPTURE_DONE_FD, O_CLOEXEC) >= 0;
    off_t at = HEADER_BYTES;
    for (ssize_t got; (got = pread(capture->fd, bytes, sizeof bytes, at)) > 0; at += got)
        if (!write_all(capture->other, bytes, (size_t)got))
            return false;
    return dup3(capture->other, CAPTURE_DONE_FD, O_CLOEXEC) >= 0;
}

static pid_t start(char *const argv[], int output)
{
    pid_t self = getpid(), child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != self) /* it died before the line above */
        _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(output, 1);
    execvp(argv[0], argv);
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Until the command ends; true when that was asked for. */
static bool copy(struct capture *capture, int input, int signals, pid_t child)
{
    bool asked = false;
    struct pollfd fds[] = {{.fd = input, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents != 0) {
            struct signalfd_siginfo info;
            asked = read(signals, &info, sizeof info) == sizeof info || asked;
            kill(child, SIGINT);
        }
        if (fds[0].revents == 0)
            continue;
        ssize_t got = read(input, capture->buffer + capture->length,
                           sizeof capture->buffer - capture->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return asked;
        capture->length += (size_t)got;
        if (!take_packets(capture)) {
            perror("keep packets");
            return false;
        }
    }
}

int agentd_command_capture(int64_t bytes_max, char *const argv[])
{
    static struct capture capture;
    int ends[2];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    capture.file_bytes_max = bytes_max / 2;
    capture.fd = open_nameless(CAPTURE_FD);
    capture.other = open_nameless(CAPTURE_OTHER_FD);
    pid_t child = -1;
    if (signals < 0 || capture.fd < 0 || capture.other < 0 || pipe2(ends, O_CLOEXEC) != 0 ||
        (child = start(argv, ends[1])) < 0) {
        perror("capture");
        return 1;
    }
    close(ends[1]);
    bool asked = copy(&capture, ends[0], signals, child);
    if (!asked)
        kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    if (!asked || !join(&capture))
        return 1;
    for (;;)
        pause(); /* what is kept is there for as long as we are */
}
