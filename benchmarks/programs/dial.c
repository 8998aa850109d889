/* Times connections to peer.c: `dial vsock CID PORT`, or `dial unix PATH`; the rest is the same.
 *
 * Each line of standard input is `connect N`, N connections on which a byte is echoed, or `send N`
 * or `receive N`, N bytes over one connection. The answer is nanoseconds: of one connection from
 * its socket to its close, or of all the bytes, without the connection that they pass over.
 */

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "common.h"

static char block[64 * 1024];

static union {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_vm vsock;
} peer;
static socklen_t peer_length;

static int dialled(void)
{
    int connection = socket(peer.any.sa_family, SOCK_STREAM, 0);
    need(connection >= 0, "socket");
    need(connect(connection, &peer.any, peer_length) == 0, "connect");
    return connection;
}

static void echo(int connection)
{
    char byte = 'e';
    write_all(connection, &byte, 1);
    read_all(connection, &byte, 1);
}

static void send_bytes(int connection, uint64_t left)
{
    char done;
    write_all(connection, "s", 1);
    write_all(connection, &left, sizeof left);
    for (; left > 0; left -= left < sizeof block ? left : sizeof block)
        write_all(connection, block, left < sizeof block ? left : sizeof block);
    read_all(connection, &done, 1);
}

static void receive_bytes(int connection, uint64_t left)
{
    write_all(connection, "r", 1);
    write_all(connection, &left, sizeof left);
    while (left > 0) {
        ssize_t count = read(connection, block, sizeof block);
        need(count > 0, "read");
        left -= (uint64_t)count;
    }
}

static int64_t time_a_connection(uint64_t count)
{
    int64_t begin = nanoseconds();
    for (uint64_t done = 0; done < count; done++) {
        int connection = dialled();
        echo(connection);
        close(connection);
    }
    return (nanoseconds() - begin) / (int64_t)count;
}

static int64_t time_bytes(void (*pass)(int, uint64_t), uint64_t count)
{
    int connection = dialled();
    int64_t begin = nanoseconds();
    pass(connection, count);
    int64_t taken = nanoseconds() - begin;
    close(connection);
    return taken;
}

int main(int count, char **arguments)
{
    char what[16];
    unsigned long long number;

    if (count == 4 && strcmp(arguments[1], "vsock") == 0) {
        peer.vsock.svm_family = AF_VSOCK;
        peer.vsock.svm_cid = (unsigned)strtoul(arguments[2], NULL, 10);
        peer.vsock.svm_port = (unsigned)strtoul(arguments[3], NULL, 10);
        peer_length = sizeof peer.vsock;
    } else {
        need(count == 3 && strlen(arguments[2]) < sizeof peer.local.sun_path, "a path");
        peer.local.sun_family = AF_UNIX;
        strcpy(peer.local.sun_path, arguments[2]);
        peer_length = sizeof peer.local;
    }
    while (scanf("%15s %llu", what, &number) == 2) {
        int64_t taken = 0;
        if (strcmp(what, "connect") == 0)
            taken = time_a_connection(number);
        else if (strcmp(what, "send") == 0)
            taken = time_bytes(send_bytes, number);
        else if (strcmp(what, "receive") == 0)
            taken = time_bytes(receive_bytes, number);
        printf("%lld\n", (long long)taken);
        fflush(stdout);
    }
    return 0;
}
