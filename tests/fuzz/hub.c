// SPDX-License-Identifier: Apache-2.0
// Requests to a hub, as bytes over a connection: whatever comes is no error of the server's, and the hub answers the next. One hub serves all inputs.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/status.h"
#include "db/hub.h"

static hone_hub *hub;
static char folder[] = "/tmp/hone-fuzz-hub-XXXXXX";

static void stop(void)
{
    static const char *const names[] = {"hub.db", "hub.db-journal"};
    char path[sizeof folder + 32];
    hone_hub_stop(hub);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[k]);
        unlink(path);
    }
    rmdir(folder);
}

static void start(void)
{
    char path[sizeof folder + 32];
    HONE_ASSERT(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/hub.db", folder);
    const hone_hub_options options = {path, "127.0.0.1:0", false};
    HONE_ASSERT(hone_hub_start(&options, &hub) == HONE_OK);
    atexit(stop);
}

static int connect_hub(void)
{
    const struct timeval patience = {.tv_sec = 10};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)hone_hub_port(hub)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    HONE_ASSERT(handle >= 0 && !connect(handle, (struct sockaddr *)&to, sizeof to));
    setsockopt(handle, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return handle;
}

static bool send_all(int handle, const void *data, size_t size)
{
    const char *at = data;
    for (ssize_t sent; size; at += sent, size -= (size_t)sent)
        if ((sent = send(handle, at, size, MSG_NOSIGNAL)) <= 0) return false;
    return true;
}

static void check_health(void)
{
    static const char question[] = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    char answer[1024];
    int handle = connect_hub();
    HONE_ASSERT(send_all(handle, question, sizeof question - 1));
    HONE_ASSERT(recv(handle, answer, sizeof answer, 0) > 12 && !memcmp(answer, "HTTP/1.1 200", 12));
    close(handle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    const struct timeval patience = {.tv_usec = 20000};      // a connection that is kept, or waits for more, says nothing
    char answer[65536];
    if (!hub) start();
    int handle = connect_hub();
    setsockopt(handle, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)send_all(handle, data, size_bytes);
    for (ssize_t got; (got = recv(handle, answer, sizeof answer, 0)) > 0;)
        HONE_ASSERT(got < 12 || memcmp(answer, "HTTP/1.1 500", 12));       // no input is a server's error
    close(handle);
    check_health();
    return 0;
}
