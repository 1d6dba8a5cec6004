// SPDX-License-Identifier: Apache-2.0
#include "db/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/dl.h"
#include "base/hash.h"

enum { CONNECT_SECONDS = 10, STALL_SECONDS = 30 };

struct hone_http_client {
    CURL *easy;
    char *base;                  // owned: the URL without a slash at the end
    char *token, *keys, *session, *provider;      // owned, NULL none
    size_t answer_max_bytes;
    char error[CURL_ERROR_SIZE];
};

// ---- the library

static struct {
    hone_dl dl;
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_easy_setopt) *set;
    __typeof__(curl_easy_perform) *perform;
    __typeof__(curl_easy_getinfo) *info;
    __typeof__(curl_easy_strerror) *strerror;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free;
} curl;

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static hone_status curl_status;

static void open_library(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", NULL};
    const hone_dl_symbol symbols[] = {
        {"curl_global_init", &curl.global_init, 0}, {"curl_easy_init", &curl.easy_init, 0}, {"curl_easy_cleanup", &curl.easy_cleanup, 0},
        {"curl_easy_setopt", &curl.set, 0}, {"curl_easy_perform", &curl.perform, 0}, {"curl_easy_getinfo", &curl.info, 0},
        {"curl_easy_strerror", &curl.strerror, 0},
        {"curl_slist_append", &curl.slist_append, 0}, {"curl_slist_free_all", &curl.slist_free, 0},
    };
    curl_status = hone_dl_open(&curl.dl, names);
    if (curl_status == HONE_OK) curl_status = hone_dl_bind(&curl.dl, symbols, sizeof symbols / sizeof *symbols);
    if (curl_status == HONE_OK && curl.global_init(CURL_GLOBAL_DEFAULT)) curl_status = HONE_INTERNAL;
}

static hone_status need_library(void)
{
    pthread_once(&curl_once, open_library);
    return curl_status == HONE_OK ? HONE_OK : hone_fail(HONE_IO, "a hub or an S3 store needs libcurl (Debian: apt install libcurl4), which cannot be opened here");
}

// ---- where to

static bool is_this_machine(const char *url)
{
    static const char *const names[] = {"127.", "localhost", "[::1]"};
    const char *host = strstr(url, "://");
    size_t size = host ? strcspn(host += 3, ":/") : 0;
    if (!host) return false;
    if (!strncmp(host, names[0], 4)) return strspn(host, "0123456789.") == size;
    if (!strncmp(host, names[2], 5)) return !host[5] || strchr(":/", host[5]);
    return size == strlen(names[1]) && !strncasecmp(host, names[1], size);
}

static hone_status check_url(const char *url)
{
    if (strpbrk(url, "@ \t\n?#")) return hone_fail(HONE_USAGE, "%.200s is no address of a hub: https://HOST[:PORT][/PREFIX]", strchr(url, '@') ? "what is given (with an @)" : url);
    if (!strncasecmp(url, "https://", 8)) return HONE_OK;
    if (strncasecmp(url, "http://", 7)) return hone_fail(HONE_USAGE, "%.200s is no address of a hub: https://HOST[:PORT][/PREFIX]", url);
    return is_this_machine(url) ? HONE_OK : hone_fail(HONE_USAGE, "%.200s would go over the network unencrypted: only https is used beyond this machine", url);
}

static char *joined(const char *format, const char *a, const char *b)
{
    hone_text text;
    hone_text_init(&text);
    hone_text_printf(&text, format, a, b);
    return hone_text_take(&text);
}

static hone_status keep_place(hone_http_client *client, const hone_http_place *place)
{
    size_t size = strlen(place->url);
    while (size && place->url[size - 1] == '/') size--;
    client->answer_max_bytes = place->answer_max_bytes;
    client->base = hone_strdup(place->url);
    if (!client->base) return HONE_NO_MEMORY;
    client->base[size] = 0;
    if (place->token && *place->token && !(client->token = joined("Authorization: Bearer %s%s", place->token, ""))) return HONE_NO_MEMORY;
    if (!place->s3_region) return HONE_OK;
    client->keys = joined("%s:%s", place->s3_key, place->s3_secret);
    client->provider = joined("aws:amz:%s:%s", place->s3_region, "s3");
    if (place->s3_session && *place->s3_session) client->session = joined("x-amz-security-token: %s%s", place->s3_session, "");
    return client->keys && client->provider ? HONE_OK : HONE_NO_MEMORY;
}

static void settle(hone_http_client *client, const hone_http_place *place)
{
    CURL *easy = client->easy;
    curl.set(easy, CURLOPT_ERRORBUFFER, client->error);
    curl.set(easy, CURLOPT_NOSIGNAL, 1L);
    curl.set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl.set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.set(easy, CURLOPT_USERAGENT, "hone/" HONE_VERSION);
    curl.set(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl.set(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl.set(easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    if (place->ca_file) curl.set(easy, CURLOPT_CAINFO, place->ca_file);
    if (!client->keys) return;
    curl.set(easy, CURLOPT_AWS_SIGV4, client->provider);
    curl.set(easy, CURLOPT_USERPWD, client->keys);
}

hone_status hone_http_client_open(const hone_http_place *place, hone_http_client **made)
{
    hone_http_client *client = NULL;
    hone_status status;
    HONE_TRY(check_url(place->url));
    HONE_TRY(need_library());
    client = hone_calloc(1, sizeof *client);
    if (!client) return HONE_NO_MEMORY;
    HONE_TRY(keep_place(client, place));
    client->easy = curl.easy_init();
    if (!client->easy) HONE_TRY(hone_fail(HONE_NO_MEMORY, "out of memory for a connection"));
    settle(client, place);
    *made = client;
    return HONE_OK;
out:
    hone_http_client_close(client);
    return status;
}

void hone_http_client_close(hone_http_client *client)
{
    if (!client) return;
    if (client->easy) curl.easy_cleanup(client->easy);
    hone_free(client->base);
    hone_free(client->token);
    hone_free(client->keys);
    hone_free(client->session);
    hone_free(client->provider);
    hone_free(client);
}

// ---- a call

typedef struct receiver {
    hone_http_result *result;
    size_t max_bytes;
    bool too_long;
} receiver;

static size_t receive(char *data, size_t one, size_t size, void *user)
{
    receiver *in = user;
    in->too_long = in->result->body.size + one * size > in->max_bytes;
    if (in->too_long) return 0;
    hone_text_append(&in->result->body, data, one * size);
    return in->result->body.failed ? 0 : one * size;
}

static size_t receive_header(char *line, size_t one, size_t size, void *user)
{
    static const char name[] = "retry-after:";
    receiver *in = user;
    if (one * size > sizeof name && !strncasecmp(line, name, sizeof name - 1)) sscanf(line + sizeof name - 1, "%d", &in->result->retry_after_s);
    return one * size;
}

static const struct { CURLcode code; hone_status status; const char *way_out; } meanings[] = {
    {CURLE_COULDNT_RESOLVE_HOST, HONE_AGAIN, ": try again later, or correct the address"},
    {CURLE_COULDNT_RESOLVE_PROXY, HONE_USAGE, ": the proxy (https_proxy) has no address"},
    {CURLE_COULDNT_CONNECT, HONE_AGAIN, ": nobody answers; try again later"},
    {CURLE_OPERATION_TIMEDOUT, HONE_AGAIN, ": try again later"},
    {CURLE_GOT_NOTHING, HONE_AGAIN, ": try again later"},
    {CURLE_SEND_ERROR, HONE_AGAIN, ": try again later"},
    {CURLE_RECV_ERROR, HONE_AGAIN, ": try again later"},
    {CURLE_PARTIAL_FILE, HONE_AGAIN, ": try again later"},
    {CURLE_PEER_FAILED_VERIFICATION, HONE_USAGE, ": --ca FILE names the authority that signed the certificate, which must be of the host that was named"},
    {CURLE_SSL_CACERT_BADFILE, HONE_USAGE, ": --ca wants a file of certificates in PEM"},
    {CURLE_URL_MALFORMAT, HONE_USAGE, ""},
};

static hone_status explain(const hone_http_client *client, CURLcode code, const receiver *in)
{
    const char *said = client->error[0] ? client->error : curl.strerror(code);
    if (in->too_long) return hone_fail(HONE_DAMAGED, "%s answers with more than %zu bytes", client->base, in->max_bytes);
    for (size_t k = 0; k < sizeof meanings / sizeof *meanings; k++)
        if (meanings[k].code == code) return hone_fail(meanings[k].status, "%s: %s%s", client->base, said, meanings[k].way_out);
    return hone_fail(HONE_IO, "%s: %s", client->base, said);
}

// S3 wants the body's hash as a signed header, which libcurl adds by itself from 8.0 on only, and takes over when it is given.
static void name_content(const hone_http_call *call, char line[128])
{
    char digits[HONE_ID_TEXT];
    hone_id digest;
    hone_sha256(call->body ? call->body : "", call->body_bytes, &digest);
    hone_id_print(&digest, digits);
    snprintf(line, 128, "x-amz-content-sha256: %s", digits);
}

static hone_status headers_of(const hone_http_client *client, const hone_http_call *call, struct curl_slist **list)
{
    char type[128], content[128] = "";
    if (client->keys) name_content(call, content);
    snprintf(type, sizeof type, "Content-Type: %s", call->type ? call->type : "application/octet-stream");
    const char *const lines[] = {client->token, client->session, *content ? content : NULL, call->body ? type : NULL, call->header};
    for (size_t k = 0; k < sizeof lines / sizeof *lines; k++) {
        if (!lines[k]) continue;
        struct curl_slist *grown = curl.slist_append(*list, lines[k]);
        if (!grown) return hone_fail(HONE_NO_MEMORY, "out of memory for a request");
        *list = grown;
    }
    return HONE_OK;
}

static hone_status perform(hone_http_client *client, const hone_http_call *call, receiver *in)
{
    CURL *easy = client->easy;
    long code = 0;
    client->error[0] = 0;
    curl.set(easy, CURLOPT_HTTPGET, 1L);
    if (call->body) {
        curl.set(easy, CURLOPT_POST, 1L);
        curl.set(easy, CURLOPT_POSTFIELDS, call->body);
        curl.set(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
    }
    curl.set(easy, CURLOPT_CUSTOMREQUEST, call->method);
    curl.set(easy, CURLOPT_TIMEOUT, (long)call->seconds_max);
    curl.set(easy, CURLOPT_WRITEFUNCTION, receive);
    curl.set(easy, CURLOPT_WRITEDATA, in);
    curl.set(easy, CURLOPT_HEADERFUNCTION, receive_header);
    curl.set(easy, CURLOPT_HEADERDATA, in);
    CURLcode failed = curl.perform(easy);
    if (failed != CURLE_OK) return explain(client, failed, in);
    curl.info(easy, CURLINFO_RESPONSE_CODE, &code);
    in->result->code = (int)code;
    return hone_text_status(&in->result->body);
}

hone_status hone_http_client_call(hone_http_client *client, const hone_http_call *call, hone_http_result *result)
{
    receiver in = {.result = result, .max_bytes = client->answer_max_bytes};
    struct curl_slist *headers = NULL;
    char *url = joined("%s%s", client->base, call->path);
    hone_status status;
    *result = (hone_http_result){.retry_after_s = -1};
    hone_text_init(&result->body);
    if (!url) return HONE_NO_MEMORY;
    HONE_TRY(headers_of(client, call, &headers));
    curl.set(client->easy, CURLOPT_URL, url);
    curl.set(client->easy, CURLOPT_HTTPHEADER, headers);
    status = perform(client, call, &in);
out:
    if (headers) curl.slist_free(headers);
    if (status != HONE_OK) hone_text_clear(&result->body);
    hone_free(url);
    return status;
}

void hone_http_result_clear(hone_http_result *result)
{
    hone_text_clear(&result->body);
}

void hone_http_escape(hone_text *text, const char *value)
{
    for (; *value; value++) {
        bool plain = (*value >= 'a' && *value <= 'z') || (*value >= 'A' && *value <= 'Z') || (*value >= '0' && *value <= '9') || strchr("-._~", *value);
        hone_text_printf(text, plain ? "%c" : "%%%02X", (unsigned char)*value);
    }
}
