// SPDX-License-Identifier: Apache-2.0
// Guests who are slow: whoever has no whole head in time is sent away, silent or not; whoever goes on asking stays.
#include "db/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/graph_maker.h"

enum { IDLE_SECONDS = 1, STEP_NS = 100000000, STEPS = 30 };

static const char head[] = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\n";

static hone_http_reply *answer(void *user, hone_http_request *request, bool is_whole)
{
    hone_text body;
    (void)user;
    (void)request;
    if (!is_whole) return NULL;
    hone_text_init(&body);
    hone_text_printf(&body, "here\n");
    return hone_http_reply_new(200, "text/plain", &body);
}

static void sent(void *user, hone_http_request *request, int code, int64_t duration_ns)
{
    (void)request;
    (void)duration_ns;
    *(int *)user += code == 200;
}

static int enter(const hone_http_server *server)
{
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)hone_http_port(server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int handle = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(handle, (const struct sockaddr *)&to, sizeof to), 0);
    return handle;
}

static bool is_shut(int handle)
{
    char byte;
    return recv(handle, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static void say(int handle, const char *text, size_t size)
{
    assert_int_equal(send(handle, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void ask(int handle)
{
    char said[4096];
    say(handle, head, strlen(head));
    say(handle, "12345678901234567890", 20);
    assert_true(recv(handle, said, sizeof said, 0) > 12 && !memcmp(said, "HTTP/1.1 200", 12));
}

static void the_slow_are_sent_away(void **state)
{
    int answered = 0;
    const hone_http_options options = {.listen = "127.0.0.1:0", .connections_max = 16, .idle_seconds = IDLE_SECONDS, .bodies_max_bytes = 1 << 20,
                                       .answer = answer, .sent = sent, .user = &answered};
    hone_http_server *server = NULL;
    (void)state;
    OK(hone_http_serve(&options, &server));
    int silent = enter(server), dribbling = enter(server), asking = enter(server), uploading = enter(server);
    say(uploading, head, strlen(head));
    for (int k = 0; k < STEPS; k++) {       // three times as long as a head may take
        if (k < (IDLE_SECONDS * 1000000000LL / STEP_NS) - 2) assert_false(is_shut(dribbling));
        if (!is_shut(dribbling)) (void)send(dribbling, &head[k], 1, MSG_NOSIGNAL);
        if (k % 5 == 0) ask(asking);
        if (k < 20) say(uploading, "b", 1);
        hone_sleep_ns(STEP_NS);
    }
    assert_true(is_shut(silent));
    assert_true(is_shut(dribbling));
    assert_int_equal(answered, STEPS / 5 + 1);         // a body may take longer than a head
    hone_http_stop(server);
    const int all[] = {silent, dribbling, asking, uploading};
    for (int k = 0; k < 4; k++) close(all[k]);
}

int test_db_http(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_slow_are_sent_away)};
    return cmocka_run_group_tests_name("db_http", tests, NULL, NULL);
}
