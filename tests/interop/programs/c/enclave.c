/* An enclave program of system calls alone: ioctl on /dev/nsm and /dev/vsock, and AF_VSOCK.
 *
 *   enclave dial PORT KEY   attest to the public key in the file KEY, send the document to CID 3
 *   enclave listen PORT     accept one connection and answer what it says
 *
 * It knows of no simulator. What it prints is one fact a line, a name and a value.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* As in linux/nsm.h, which older kernel headers do not have. */
struct nsm_raw {
    struct iovec request, response;
};
#define NSM_IOCTL_RAW _IOWR(0x0A, 0x0, struct nsm_raw)
#define NSM_REQUEST_MAX_SIZE 0x1000
#define NSM_RESPONSE_MAX_SIZE 0x3000

/* musl has no headers of the kernel's: what is needed of linux/vm_sockets.h. */
#define IOCTL_VM_SOCKETS_GET_LOCAL_CID _IO(7, 0xb9)
#define VMADDR_CID_ANY UINT32_MAX
#define PARENT_CID 3
struct sockaddr_vm {
    uint16_t svm_family;
    uint16_t svm_reserved1;
    uint32_t svm_port;
    uint32_t svm_cid;
    uint8_t svm_flags;
    uint8_t svm_zero[3];
};

struct bytes {
    uint8_t *data;
    size_t length;
};

static void require(int holds, const char *what)
{
    if (!holds)
        errx(1, "%s", what);
}

static struct bytes ask(int nsm, const void *request, size_t length)
{
    static uint8_t response[NSM_RESPONSE_MAX_SIZE];
    struct nsm_raw message = {{(void *)request, length}, {response, sizeof response}};

    if (ioctl(nsm, NSM_IOCTL_RAW, &message) != 0)
        err(1, "ioctl on /dev/nsm");
    return (struct bytes){response, message.response.iov_len};
}

/* The byte or text string that follows a key, wherever that stands in the answer. */
static struct bytes value_of(struct bytes answer, const char *key)
{
    size_t key_length = strlen(key);
    uint8_t *end = answer.data + answer.length;
    uint8_t *head = memmem(answer.data, answer.length, key, key_length);
    size_t length, extra = 0;

    require(head != NULL && head + key_length < end, "the NSM's answer lacks a member");
    head += key_length;
    length = *head & 0x1f;
    require(*head >> 5 == 2 || *head >> 5 == 3, "the NSM's answer has no string there");
    if (length >= 24) {
        require(length <= 25, "the NSM's answer is longer than it can be");
        extra = length - 23;
        length = 0;
    }
    require(head + 1 + extra <= end, "the NSM's answer ends early");
    for (size_t i = 1; i <= extra; i++)
        length = length << 8 | head[i];
    head += 1 + extra;
    require(length <= (size_t)(end - head), "the NSM's answer ends early");
    return (struct bytes){head, length};
}

/* Attestation, with a public key and nothing else. */
static struct bytes attest(int nsm, struct bytes key)
{
    static const char before[] = "\xa1\x6b"
                                 "Attestation\xa3\x69user_data\xf6\x65nonce\xf6\x6apublic_key\x59";
    uint8_t request[NSM_REQUEST_MAX_SIZE];
    size_t length = sizeof before - 1;

    require(key.length <= sizeof request - length - 2, "the public key is too long");
    memcpy(request, before, length);
    request[length++] = key.length >> 8;
    request[length++] = key.length & 0xff;
    memcpy(request + length, key.data, key.length);
    return value_of(ask(nsm, request, length + key.length), "document");
}

static struct bytes contents(const char *path)
{
    static uint8_t data[NSM_REQUEST_MAX_SIZE];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, data, sizeof data);

    if (length < 0)
        err(1, "%s", path);
    close(file);
    return (struct bytes){data, (size_t)length};
}

static struct sockaddr_vm address(uint32_t cid, const char *port)
{
    return (struct sockaddr_vm){
        .svm_family = AF_VSOCK,
        .svm_cid = cid,
        .svm_port = (uint32_t)strtoul(port, NULL, 10),
    };
}

static void print_address(const char *name, const struct sockaddr_vm *at)
{
    require(at->svm_family == AF_VSOCK, "an address is not of AF_VSOCK");
    printf("%s %d:%u\n", name, (int)at->svm_cid, at->svm_port);
}

static int vsock(void)
{
    int made = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (made < 0)
        err(1, "socket(AF_VSOCK)");
    return made;
}

static void send_all(int to, struct bytes what)
{
    while (what.length > 0) {
        ssize_t sent = write(to, what.data, what.length);
        if (sent <= 0)
            err(1, "write");
        what.data += sent;
        what.length -= (size_t)sent;
    }
}

/* All that the other side says until it closes. */
static struct bytes hear_all(int from)
{
    static uint8_t data[NSM_RESPONSE_MAX_SIZE];
    struct bytes heard = {data, 0};
    ssize_t length;

    while ((length = read(from, data + heard.length, sizeof data - heard.length)) > 0)
        heard.length += (size_t)length;
    if (length < 0)
        err(1, "read");
    return heard;
}

static void print_cid(void)
{
    int device = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
    uint32_t cid = 0;

    if (device < 0 || ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) != 0)
        err(1, "/dev/vsock");
    close(device);
    printf("cid %u\n", cid);
}

static void dial(const char *port, const char *key)
{
    struct sockaddr_vm parent = address(PARENT_CID, port), at;
    socklen_t length = sizeof at;
    struct bytes text, document;
    int nsm = open("/dev/nsm", O_RDWR | O_CLOEXEC), parent_socket = vsock();

    if (nsm < 0)
        err(1, "/dev/nsm");
    text = value_of(ask(nsm, "\x6b" "DescribeNSM", 12), "module_id");
    printf("module_id %.*s\n", (int)text.length, (char *)text.data);
    print_cid();
    document = attest(nsm, contents(key));
    printf("document %zu\n", document.length);
    if (connect(parent_socket, (struct sockaddr *)&parent, sizeof parent) != 0) {
        printf("errno %d\n", errno);
        exit(3);
    }
    if (getpeername(parent_socket, (struct sockaddr *)&at, &length) != 0)
        err(1, "getpeername");
    print_address("peer", &at);
    send_all(parent_socket, document);
    shutdown(parent_socket, SHUT_WR);
    text = hear_all(parent_socket);
    printf("answer %.*s\n", (int)text.length, (char *)text.data);
}

static void serve_once(const char *port)
{
    struct sockaddr_vm here = address(VMADDR_CID_ANY, port), at;
    socklen_t length = sizeof at;
    struct bytes heard;
    int listener = vsock(), accepted;

    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 5) != 0)
        err(1, "bind and listen");
    if (getsockname(listener, (struct sockaddr *)&at, &length) != 0)
        err(1, "getsockname");
    print_address("listening", &at);
    length = sizeof at;
    accepted = accept(listener, (struct sockaddr *)&at, &length);
    if (accepted < 0)
        err(1, "accept");
    printf("accepted %u\n", at.svm_cid);
    heard = hear_all(accepted);
    printf("heard %.*s\n", (int)heard.length, (char *)heard.data);
    send_all(accepted, (struct bytes){(uint8_t *)"hello, parent", 13});
}

int main(int count, char **arguments)
{
    /* Somebody waits for each line on a pipe. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count == 4 && strcmp(arguments[1], "dial") == 0)
        dial(arguments[2], arguments[3]);
    else if (count == 3 && strcmp(arguments[1], "listen") == 0)
        serve_once(arguments[2]);
    else
        errx(2, "usage: enclave dial PORT KEY | enclave listen PORT");
    return 0;
}
