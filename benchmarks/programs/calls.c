/* Times system calls that have nothing to do with an enclave.
 *
 * Each line of standard input is the name of one, and how often it is called. The answer is the
 * nanoseconds that one call takes: the mean of the quickest of a few parts, since what interrupts
 * a part only adds to it.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "common.h"

enum { PARTS = 5 };

static int zero, pipe_ends[2];

static void call_getpid(void)
{
    syscall(SYS_getpid);
}

static void call_read(void)
{
    char bytes[8];
    need(read(zero, bytes, sizeof bytes) == sizeof bytes, "read");
}

static void call_ioctl(void)
{
    int available;
    need(ioctl(pipe_ends[0], FIONREAD, &available) == 0, "ioctl");
}

static void call_openat(void)
{
    int file = open("/dev/zero", O_RDONLY);
    need(file >= 0, "open");
    close(file);
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    {"getpid", call_getpid},
    {"read", call_read},
    {"ioctl", call_ioctl},
    {"openat", call_openat},
};

static double quickest(void (*call)(void), int count)
{
    double best = 0;
    for (int part = 0; part < PARTS; part++) {
        int64_t begin = nanoseconds();
        for (int done = 0; done < count; done++)
            call();
        double taken = (double)(nanoseconds() - begin) / count;
        if (part == 0 || taken < best)
            best = taken;
    }
    return best;
}

int main(void)
{
    char name[16];
    int count;

    zero = open("/dev/zero", O_RDONLY);
    need(zero >= 0, "/dev/zero");
    need(pipe(pipe_ends) == 0, "pipe");
    while (scanf("%15s %d", name, &count) == 2) {
        for (size_t index = 0; index < sizeof calls / sizeof *calls; index++)
            if (strcmp(calls[index].name, name) == 0)
                printf("%.0f\n", quickest(calls[index].call, count));
        fflush(stdout);
    }
    return 0;
}
