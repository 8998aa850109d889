/* What the programs share: a clock, and giving up with a sentence. */

#ifndef COMMON_H
#define COMMON_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void need(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

/* All of them, or the end of the program. */
static inline void read_all(int from, void *into, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t count = read(from, (char *)into + done, length - done);
        need(count > 0, "read");
        done += (size_t)count;
    }
}

static inline void write_all(int to, const void *content, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t count = write(to, (const char *)content + done, length - done);
        need(count > 0, "write");
        done += (size_t)count;
    }
}

#endif
