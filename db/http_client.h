// SPDX-License-Identifier: Apache-2.0
// Asking over HTTP: libcurl (fenced to http_client.c, opened at run time). A client keeps one connection and belongs to one thread.
// https unless the host is this machine (127.0.0.0/8, ::1, localhost); a custom CA; the usual proxy variables (https_proxy, no_proxy). Redirects are
// never followed, so that a token goes nowhere but to the host that the user named; no error holds it.
#ifndef HONE_DB_HTTP_CLIENT_H
#define HONE_DB_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/text.h"

typedef struct hone_http_client hone_http_client;

typedef struct hone_http_place {
    const char *url;             // https://hub.example/prefix, without a slash at the end or with
    const char *token;           // bearer; NULL or "" none
    const char *ca_file;         // NULL: the system's
    const char *s3_region;       // not NULL: requests are signed (AWS Signature 4, which libcurl makes) with the two keys below
    const char *s3_key, *s3_secret, *s3_session;
    size_t answer_max_bytes;
} hone_http_place;

typedef struct hone_http_call {
    const char *method;          // GET, POST, PUT
    const char *path;            // "/v1/have?x=y", escaped; behind the place's URL
    const char *type;            // of the body
    const void *body;
    size_t body_bytes;
    const char *header;          // one more, "If-None-Match: *"; NULL none
    int seconds_max;
} hone_http_call;

typedef struct hone_http_result {
    int code;
    int retry_after_s;           // -1 not said
    hone_text body;
} hone_http_result;

hone_status hone_http_client_open(const hone_http_place *place, hone_http_client **client);
void hone_http_client_close(hone_http_client *client);      // NULL is legal
// Any code of HTTP is an answer. HONE_AGAIN when nobody answers or the connection breaks, HONE_USAGE when the certificate or the address is wrong.
hone_status hone_http_client_call(hone_http_client *client, const hone_http_call *call, hone_http_result *result);
void hone_http_result_clear(hone_http_result *result);
// Escapes all but letters, digits and -._~ for a URL's query.
void hone_http_escape(hone_text *text, const char *value);

#endif
