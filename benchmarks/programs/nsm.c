/* Times requests to the NSM, as the SDKs send them: an ioctl of /dev/nsm.
 *
 * Each line of standard input is a request in hexadecimal, and how often it is sent. The answer is
 * the nanoseconds that each took.
 */

#include <fcntl.h>
#include <sys/ioctl.h>

#include "common.h"

enum { REQUEST_MAX = 0x1000, RESPONSE_MAX = 0x3000 };

/* struct nsm_raw of uapi/linux/nsm.h. */
struct message {
    uint64_t request, request_length, response, response_length;
};

#define NSM_IOCTL _IOWR(0x0A, 0x0, struct message)

static unsigned char request[REQUEST_MAX], response[RESPONSE_MAX];

int main(void)
{
    char text[2 * REQUEST_MAX + 1];
    int count;
    int device = open("/dev/nsm", O_RDWR | O_CLOEXEC);

    need(device >= 0, "/dev/nsm");
    while (scanf("%8192s %d", text, &count) == 2) {
        size_t length = 0;
        while (length < REQUEST_MAX && sscanf(text + 2 * length, "%2hhx", &request[length]) == 1)
            length++;
        for (int done = 0; done < count; done++) {
            struct message message = {
                .request = (uintptr_t)request,
                .request_length = length,
                .response = (uintptr_t)response,
                .response_length = sizeof response,
            };
            int64_t begin = nanoseconds();
            need(ioctl(device, NSM_IOCTL, &message) == 0, "ioctl");
            int64_t taken = nanoseconds() - begin;
            need(message.response_length > 0, "response");
            printf("%lld ", (long long)taken);
        }
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
