// SPDX-License-Identifier: Apache-2.0
// Serving HTTP: libmicrohttpd (fenced to http_server.c, opened at run time, so that hone runs without it), epoll, two threads.
// `answer` is called on the server's threads, once when a request's head is there (`is_whole` false: refuse it now, or NULL to read its
// body) and once when all of it is. It returns a reply, or, after hone_http_wait, NULL: then hone_http_answer gives it from any thread.
// Replies are immutable and counted: one may be sent to many. Caps: 32 KiB of head, HONE_HTTP_BODY_MAX of body, a total of all bodies.
#ifndef HONE_DB_HTTP_SERVER_H
#define HONE_DB_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

#define HONE_HTTP_BODY_MAX ((size_t)16 << 20)

typedef struct hone_http_server hone_http_server;
typedef struct hone_http_request hone_http_request;
typedef struct hone_http_reply hone_http_reply;

typedef struct hone_http_options {
    const char *listen;                // 127.0.0.1:8080, [::1]:8080; port 0 takes a free one
    int connections_max, idle_seconds;     // silent for so long, or without a whole head after it: closed
    int64_t bodies_max_bytes;          // of all requests together; what is above gets 429
    hone_http_reply *(*answer)(void *user, hone_http_request *request, bool is_whole);
    void (*sent)(void *user, hone_http_request *request, int code, int64_t duration_ns);   // for metrics
    void *user;
} hone_http_options;

hone_status hone_http_serve(const hone_http_options *options, hone_http_server **server);
int hone_http_port(const hone_http_server *server);
bool hone_http_is_loopback(const char *listen);               // false also for what is no address
void hone_http_quiesce(hone_http_server *server);             // accepts no more connections
void hone_http_stop(hone_http_server *server);                // every waiting request must have its answer; NULL is legal

const char *hone_http_method(const hone_http_request *request);
const char *hone_http_path(const hone_http_request *request);           // unescaped, without the query
const char *hone_http_header(hone_http_request *request, const char *name);       // borrowed, NULL none
const char *hone_http_parameter(hone_http_request *request, const char *name);    // of the query, unescaped; borrowed, NULL none
const void *hone_http_body(const hone_http_request *request, size_t *size_bytes);
void **hone_http_note(hone_http_request *request);            // one pointer of the user's; he frees it before or in `sent`
void hone_http_wait(hone_http_request *request);
void hone_http_answer(hone_http_request *request, hone_http_reply *reply);        // takes the reply

// Takes the text. With an ETag made of the content unless code is an error; a reader who has it gets 304. NULL when out of memory.
hone_http_reply *hone_http_reply_new(int code, const char *type, hone_text *body);
void hone_http_reply_header(hone_http_reply *reply, const char *name, const char *value);    // before it is first sent
hone_http_reply *hone_http_reply_keep(hone_http_reply *reply);
void hone_http_reply_free(hone_http_reply *reply);            // NULL is legal
size_t hone_http_reply_bytes(const hone_http_reply *reply);

#endif
