// SPDX-License-Identifier: Apache-2.0
// Uploads as of many clients: load PORT[,PORT...] CLIENTS SECONDS BATCHES_A_SECOND FOLDER sends the files FOLDER/0, 1, 2, ... as batches, each at its
// due time, whether earlier ones have been answered or not, so that waiting is counted (no coordinated omission). The clients are shared out among the
// hubs of these ports. Prints one line of figures.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"

enum { CLIENTS_MAX = 1000, PORTS_MAX = 16, REQUESTS_MAX = 100000, ANSWER_BYTES = 4096 };

static struct {
    int ports[PORTS_MAX], port_count, clients, seconds;
    double rate;
    const char *folder;
    int64_t start_ns;
    atomic_int next;
    atomic_llong rows, busy, failed;
    atomic_int done;
    double ms[REQUESTS_MAX];
} load;

static int connect_hub(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, handle = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!connect(handle, (struct sockaddr *)&to, sizeof to)) return handle;
    close(handle);
    return -1;
}

static int send_all(int handle, const char *data, size_t size)
{
    for (ssize_t sent; size; data += sent, size -= (size_t)sent)
        if ((sent = send(handle, data, size, MSG_NOSIGNAL)) <= 0) return -1;
    return 0;
}

// The answer's code, or -1; its body is short and comes with its head or behind it.
static int read_answer(int handle, char answer[ANSWER_BYTES])
{
    size_t size = 0;
    for (;;) {
        ssize_t got = recv(handle, answer + size, ANSWER_BYTES - 1 - size, 0);
        if (got <= 0) return -1;
        answer[size += (size_t)got] = 0;
        char *body = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "\r\nContent-Length: ");
        if (body && length && size >= (size_t)(body + 4 - answer) + strtoul(length + 18, NULL, 10)) return atoi(answer + 9);
    }
}

static int post(int *handle, int port, const char *blob, size_t size)
{
    char head[256], answer[ANSWER_BYTES];
    long rows = 0;
    int length = snprintf(head, sizeof head, "POST /v1/batches HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n", size);
    if (*handle < 0) *handle = connect_hub(port);
    int code = *handle < 0 || send_all(*handle, head, (size_t)length) || send_all(*handle, blob, size) ? -1 : read_answer(*handle, answer);
    if (code == 200) sscanf(strstr(answer, "\r\n\r\n") + 4, "added %ld", &rows);
    if (code != 200 && *handle >= 0) close(*handle), *handle = -1;
    atomic_fetch_add(&load.rows, rows);
    return code;
}

static void *client(void *user)
{
    int handle = -1, port = *(const int *)user;
    for (;;) {
        char path[4096], *blob = NULL;
        size_t size;
        int mine = atomic_fetch_add(&load.next, 1), code;
        int64_t due_ns = load.start_ns + (int64_t)((double)mine / load.rate * 1e9);
        snprintf(path, sizeof path, "%s/%d", load.folder, mine);
        if (mine / load.rate >= load.seconds || mine >= REQUESTS_MAX || hone_file_read(path, (size_t)16 << 20, &blob, &size)) break;
        if (due_ns > hone_clock_ns()) hone_sleep_ns(due_ns - hone_clock_ns());
        while ((code = post(&handle, port, blob, size)) == 429 || code == 503) {
            atomic_fetch_add(&load.busy, 1);
            hone_sleep_ns(200000000);
        }
        if (code == 200) load.ms[atomic_fetch_add(&load.done, 1)] = (double)(hone_clock_ns() - due_ns) / 1e6;
        else atomic_fetch_add(&load.failed, 1);
        hone_free(blob);
    }
    if (handle >= 0) close(handle);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(int argc, char **argv)
{
    static pthread_t threads[CLIENTS_MAX];
    if (argc != 6 || atoi(argv[2]) < 1 || atoi(argv[2]) > CLIENTS_MAX) return fprintf(stderr, "load PORT[,PORT...] CLIENTS SECONDS BATCHES_A_SECOND FOLDER\n"), 2;
    for (char *at = strtok(argv[1], ","); at && load.port_count < PORTS_MAX; at = strtok(NULL, ",")) load.ports[load.port_count++] = atoi(at);
    if (!load.port_count) return 2;
    load.clients = atoi(argv[2]);
    load.seconds = atoi(argv[3]);
    load.rate = atof(argv[4]);
    load.folder = argv[5];
    load.start_ns = hone_clock_ns();
    for (int k = 0; k < load.clients; k++) pthread_create(&threads[k], NULL, client, &load.ports[k % load.port_count]);
    for (int k = 0; k < load.clients; k++) pthread_join(threads[k], NULL);
    double seconds = (double)(hone_clock_ns() - load.start_ns) / 1e9;
    int done = atomic_load(&load.done);
    qsort(load.ms, (size_t)done, sizeof *load.ms, compare);
    printf("%d batches, %lld rows in %.1f s: %.0f rows/s; p50 %.1f ms, p99 %.1f ms, most %.1f ms; %lld times busy, %lld failed\n", done, atomic_load(&load.rows),
           seconds, (double)atomic_load(&load.rows) / seconds, done ? load.ms[done / 2] : 0, done ? load.ms[done * 99 / 100] : 0, done ? load.ms[done - 1] : 0,
           atomic_load(&load.busy), atomic_load(&load.failed));
    return !done || atomic_load(&load.failed) > 0;
}
