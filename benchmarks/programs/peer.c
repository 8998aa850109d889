/* Answers at a Unix socket, one connection at a time, as its first byte says:
 *
 *   e   this byte comes back
 *   s   a number of eight bytes follows, and so many bytes; then this byte comes back
 *   r   a number of eight bytes follows; so many bytes come back
 *
 * The path is the argument; a line of standard output says when it can be dialled.
 */

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common.h"

static char block[64 * 1024];

static void sink(int connection)
{
    uint64_t left;
    read_all(connection, &left, sizeof left);
    while (left > 0) {
        ssize_t count = read(connection, block, sizeof block);
        need(count > 0, "read");
        left -= (uint64_t)count;
    }
}

static void source(int connection)
{
    uint64_t left;
    read_all(connection, &left, sizeof left);
    for (; left > 0; left -= left < sizeof block ? left : sizeof block)
        write_all(connection, block, left < sizeof block ? left : sizeof block);
}

int main(int count, char **arguments)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    need(count == 2 && strlen(arguments[1]) < sizeof address.sun_path, "a path");
    strcpy(address.sun_path, arguments[1]);
    need(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    need(listen(listener, 64) == 0, "listen");
    puts("ready");
    fflush(stdout);
    for (;;) {
        char wish;
        int connection = accept(listener, NULL, NULL);
        need(connection >= 0, "accept");
        read_all(connection, &wish, 1);
        if (wish == 's')
            sink(connection);
        if (wish == 'r')
            source(connection);
        else
            write_all(connection, &wish, 1);
        close(connection);
    }
}
