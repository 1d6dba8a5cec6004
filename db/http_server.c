// SPDX-License-Identifier: Apache-2.0
#include "db/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/dl.h"
#include "base/hash.h"
#include "db/http_guests.h"

enum { HEAD_BYTES_MAX = 32 << 10, FIRST_BODY_BYTES = 16 << 10, ETAG_TEXT = 35, DROPPED_BYTES_MAX = 64 << 20 };
enum { REQUEST_SECONDS_MAX = 120, ANSWER_SECONDS_MAX = 600 };        // for a body to arrive; and for all from the head to the answer's last byte

struct hone_http_reply {
    atomic_int owners;
    int code;
    size_t size_bytes;
    char etag[ETAG_TEXT];              // "" none
    char *data;                        // owned
    struct MHD_Response *response;
};

struct hone_http_request {
    hone_http_server *server;
    struct MHD_Connection *connection;
    const char *method, *path;         // path: owned copy
    char *body;
    size_t body_bytes, body_capacity, dropped_bytes;
    int64_t start_ns;
    int code;
    hone_http_reply *reply;            // given by hone_http_answer
    void *note;
};

struct hone_http_server {
    hone_http_options options;
    struct MHD_Daemon *daemon;
    hone_http_guests *guests;          // owned
    int socket;
    atomic_llong bodies_bytes;
};

// ---- the library

static struct {
    hone_dl dl;
    __typeof__(MHD_start_daemon) *start_daemon;
    __typeof__(MHD_stop_daemon) *stop_daemon;
    __typeof__(MHD_quiesce_daemon) *quiesce_daemon;
    __typeof__(MHD_create_response_from_buffer) *create_response;
    __typeof__(MHD_add_response_header) *add_header;
    __typeof__(MHD_destroy_response) *destroy_response;
    __typeof__(MHD_queue_response) *queue_response;
    __typeof__(MHD_suspend_connection) *suspend;
    __typeof__(MHD_resume_connection) *resume;
    __typeof__(MHD_lookup_connection_value) *lookup;
    __typeof__(MHD_get_connection_info) *connection_info;
} mhd;

static pthread_once_t mhd_once = PTHREAD_ONCE_INIT;
static hone_status mhd_status;

static void open_library(void)
{
    static const char *const names[] = {"libmicrohttpd.so.12", "libmicrohttpd.so", NULL};
    const hone_dl_symbol symbols[] = {
        {"MHD_start_daemon", &mhd.start_daemon, 0}, {"MHD_stop_daemon", &mhd.stop_daemon, 0}, {"MHD_quiesce_daemon", &mhd.quiesce_daemon, 0},
        {"MHD_create_response_from_buffer", &mhd.create_response, 0}, {"MHD_add_response_header", &mhd.add_header, 0},
        {"MHD_destroy_response", &mhd.destroy_response, 0}, {"MHD_queue_response", &mhd.queue_response, 0},
        {"MHD_suspend_connection", &mhd.suspend, 0}, {"MHD_resume_connection", &mhd.resume, 0},
        {"MHD_lookup_connection_value", &mhd.lookup, 0}, {"MHD_get_connection_info", &mhd.connection_info, 0},
    };
    mhd_status = hone_dl_open(&mhd.dl, names);
    if (mhd_status == HONE_OK) mhd_status = hone_dl_bind(&mhd.dl, symbols, sizeof symbols / sizeof *symbols);
}

static hone_status need_library(void)
{
    pthread_once(&mhd_once, open_library);
    return mhd_status == HONE_OK ? HONE_OK
        : hone_fail(HONE_IO, "serving needs libmicrohttpd (Debian: apt install libmicrohttpd12), which cannot be opened here");
}

// ---- replies

static void make_etag(hone_http_reply *reply)
{
    char digits[HONE_ID_TEXT];
    hone_id id;
    hone_hash_once(reply->data ? reply->data : "", reply->size_bytes, &id);
    hone_id_print(&id, digits);
    snprintf(reply->etag, sizeof reply->etag, "\"%.32s\"", digits);
}

hone_http_reply *hone_http_reply_new(int code, const char *type, hone_text *body)
{
    hone_http_reply *reply = hone_calloc(1, sizeof *reply);
    if (!reply || hone_text_status(body) != HONE_OK) goto out;
    atomic_init(&reply->owners, 1);
    reply->code = code;
    reply->size_bytes = body->size;
    reply->data = hone_text_take(body);
    reply->response = mhd.create_response(reply->size_bytes, reply->data, MHD_RESPMEM_PERSISTENT);
    if (!reply->response) goto out;
    hone_http_reply_header(reply, "Content-Type", type);
    hone_http_reply_header(reply, "X-Content-Type-Options", "nosniff");
    if (code >= 300) return reply;
    make_etag(reply);
    hone_http_reply_header(reply, "ETag", reply->etag);
    hone_http_reply_header(reply, "Cache-Control", "no-cache");       // keep it, but ask with If-None-Match
    return reply;
out:
    hone_text_clear(body);
    hone_http_reply_free(reply);
    return NULL;
}

void hone_http_reply_header(hone_http_reply *reply, const char *name, const char *value)
{
    mhd.add_header(reply->response, name, value);
}

hone_http_reply *hone_http_reply_keep(hone_http_reply *reply)
{
    atomic_fetch_add(&reply->owners, 1);
    return reply;
}

// A connection that still sends it holds an owner of its own, until its request is completed.
void hone_http_reply_free(hone_http_reply *reply)
{
    if (!reply || atomic_fetch_sub(&reply->owners, 1) > 1) return;
    if (reply->response) mhd.destroy_response(reply->response);
    hone_free(reply->data);
    hone_free(reply);
}

size_t hone_http_reply_bytes(const hone_http_reply *reply) { return reply->size_bytes; }

static enum MHD_Result send_unchanged(hone_http_request *request, const char *etag)
{
    struct MHD_Response *empty = mhd.create_response(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!empty) return MHD_NO;
    mhd.add_header(empty, "ETag", etag);
    enum MHD_Result result = mhd.queue_response(request->connection, request->code = 304, empty);
    mhd.destroy_response(empty);
    return result;
}

// The request keeps the reply until it is completed: the library reads its bytes in place.
static enum MHD_Result send_reply(hone_http_request *request, hone_http_reply *reply)
{
    const char *known = reply && reply->etag[0] ? hone_http_header(request, "If-None-Match") : NULL;
    request->reply = reply;
    if (!reply) return MHD_NO;         // out of memory: the connection is closed
    if (known && strstr(known, reply->etag)) return send_unchanged(request, reply->etag);
    request->code = reply->code;
    return mhd.queue_response(request->connection, (unsigned)reply->code, reply->response);
}

static hone_http_reply *refusal(int code, const char *sentence)
{
    hone_text body;
    hone_text_init(&body);
    hone_text_printf(&body, "{\"error\":\"%s\"}\n", sentence);
    hone_http_reply *reply = hone_http_reply_new(code, "application/json", &body);
    if (reply && code == 429) hone_http_reply_header(reply, "Retry-After", "1");
    return reply;
}

// ---- guests

static hone_http_guest *guest_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = mhd.connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void on_connection(void *user, struct MHD_Connection *connection, void **guest, enum MHD_ConnectionNotificationCode what)
{
    hone_http_server *server = user;
    const union MHD_ConnectionInfo *info = mhd.connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) hone_http_guest_leave(server->guests, *guest);
    else if (info) *guest = hone_http_guest_enter(server->guests, info->connect_fd, server->options.idle_seconds);
}

// ---- requests

static hone_http_request *new_request(hone_http_server *server, struct MHD_Connection *connection, const char *method, const char *path)
{
    hone_http_request *request = hone_calloc(1, sizeof *request);
    if (!request) return NULL;
    *request = (hone_http_request){.server = server, .connection = connection, .method = method, .path = path, .start_ns = hone_clock_ns()};
    return request;
}

static void drop_body(hone_http_request *request)
{
    atomic_fetch_sub(&request->server->bodies_bytes, (long long)request->body_capacity);
    hone_free(request->body);
    request->body = NULL;
    request->body_bytes = request->body_capacity = 0;
}

// 0, or the code of a refusal.
static int add_body(hone_http_request *request, const char *data, size_t size)
{
    hone_http_server *server = request->server;
    size_t wanted = request->body_bytes + size, capacity = request->body_capacity ? request->body_capacity : FIRST_BODY_BYTES;
    if (wanted > HONE_HTTP_BODY_MAX) return 413;
    if (hone_clock_ns() - request->start_ns > REQUEST_SECONDS_MAX * 1000000000LL) return 408;
    while (capacity < wanted) capacity *= 2;
    if (capacity > request->body_capacity) {
        long long more = (long long)(capacity - request->body_capacity);
        if (atomic_fetch_add(&server->bodies_bytes, more) + more > server->options.bodies_max_bytes) {
            atomic_fetch_sub(&server->bodies_bytes, more);
            return 429;
        }
        char *grown = hone_realloc(request->body, capacity);
        if (!grown) {
            atomic_fetch_sub(&server->bodies_bytes, more);
            return 429;
        }
        request->body = grown;
        request->body_capacity = capacity;
    }
    memcpy(request->body + request->body_bytes, data, size);
    request->body_bytes = wanted;
    return 0;
}

static bool announces_too_much(hone_http_request *request)
{
    const char *length = hone_http_header(request, "Content-Length");
    return length && strtoull(length, NULL, 10) > HONE_HTTP_BODY_MAX;
}

static const char *refusal_text(int code)
{
    return code == 413 ? "a body may have 16 MiB: send less at once" : code == 408 ? "the request took too long" : "the hub is busy: try again later";
}

static enum MHD_Result begin(hone_http_server *server, struct MHD_Connection *connection, const char *path, const char *method, void **mine)
{
    hone_http_request *request = *mine = new_request(server, connection, method, path);
    if (!request) return MHD_NO;
    hone_http_guest_expect(guest_of(connection), ANSWER_SECONDS_MAX);
    hone_http_reply *reply = server->options.answer(server->options.user, request, false);
    if (!reply && announces_too_much(request)) reply = refusal(413, refusal_text(413));
    return reply ? send_reply(request, reply) : MHD_YES;
}

// What is refused in the middle of a body is told when the body has ended: until then it is thrown away, as far as that is bearable.
static enum MHD_Result take_body(hone_http_request *request, const char *data, size_t size)
{
    int code = request->code ? 0 : add_body(request, data, size);
    if (code) {
        drop_body(request);
        request->code = code;
    }
    request->dropped_bytes += request->code ? size : 0;
    return code == 408 || request->dropped_bytes > DROPPED_BYTES_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_call(void *user, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                               const char *data, size_t *size, void **mine)
{
    hone_http_server *server = user;
    hone_http_request *request = *mine;
    (void)version;
    if (!request) return begin(server, connection, path, method, mine);
    if (*size) {
        size_t here = *size;
        *size = 0;
        return take_body(request, data, here);
    }
    if (request->reply) return send_reply(request, request->reply);
    if (request->code) return send_reply(request, refusal(request->code, refusal_text(request->code)));
    hone_http_reply *reply = server->options.answer(server->options.user, request, true);
    return reply ? send_reply(request, reply) : MHD_YES;
}

static void on_completed(void *user, struct MHD_Connection *connection, void **mine, enum MHD_RequestTerminationCode why)
{
    hone_http_server *server = user;
    hone_http_request *request = *mine;
    (void)why;
    if (!request) return;
    hone_http_guest_expect(guest_of(connection), server->options.idle_seconds);       // for the next head
    server->options.sent(server->options.user, request, request->code, hone_clock_ns() - request->start_ns);
    drop_body(request);
    hone_http_reply_free(request->reply);
    hone_free(request);
    *mine = NULL;
}

const char *hone_http_method(const hone_http_request *request) { return request->method; }
const char *hone_http_path(const hone_http_request *request) { return request->path; }
void **hone_http_note(hone_http_request *request) { return &request->note; }

const char *hone_http_header(hone_http_request *request, const char *name)
{
    return mhd.lookup(request->connection, MHD_HEADER_KIND, name);
}

const char *hone_http_parameter(hone_http_request *request, const char *name)
{
    return mhd.lookup(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const void *hone_http_body(const hone_http_request *request, size_t *size_bytes)
{
    *size_bytes = request->body_bytes;
    return request->body ? request->body : "";
}

void hone_http_wait(hone_http_request *request)
{
    mhd.suspend(request->connection);
}

void hone_http_answer(hone_http_request *request, hone_http_reply *reply)
{
    request->reply = reply ? reply : refusal(500, "out of memory");
    mhd.resume(request->connection);
}

// ---- the socket

static hone_status split_address(const char *listen, char host[256], const char **port)
{
    const char *colon = strrchr(listen, ':');
    size_t size = colon ? (size_t)(colon - listen) : 0;
    if (!size || size >= 256 || !colon[1]) return hone_fail(HONE_USAGE, "--listen wants ADDRESS:PORT (127.0.0.1:8080, [::1]:8080), not '%s'", listen);
    if (listen[0] == '[' && listen[size - 1] == ']') listen++, size -= 2;
    memcpy(host, listen, size);
    host[size] = 0;
    *port = colon + 1;
    return HONE_OK;
}

static hone_status find_address(const char *listen, int flags, struct addrinfo **found)
{
    char host[256];
    const char *port = NULL;
    const struct addrinfo wanted = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV | flags, .ai_socktype = SOCK_STREAM};
    hone_status status = split_address(listen, host, &port);
    if (status != HONE_OK) return status;
    int code = getaddrinfo(host, port, &wanted, found);
    return code ? hone_fail(HONE_USAGE, "--listen %s: %s", listen, gai_strerror(code)) : HONE_OK;
}

bool hone_http_is_loopback(const char *listen)
{
    struct addrinfo *found = NULL;
    if (find_address(listen, 0, &found) != HONE_OK) return false;
    bool loopback = true;
    for (struct addrinfo *at = found; at; at = at->ai_next)
        loopback &= at->ai_family == AF_INET ? ntohl(((struct sockaddr_in *)at->ai_addr)->sin_addr.s_addr) >> 24 == 127
            : at->ai_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)at->ai_addr)->sin6_addr);
    freeaddrinfo(found);
    return loopback;
}

static hone_status open_socket(const char *listen_at, int *made)
{
    struct addrinfo *found = NULL;
    int one = 1;
    hone_status status = find_address(listen_at, 0, &found);
    if (status != HONE_OK) return status;
    int handle = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (handle >= 0) setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (handle < 0 || bind(handle, found->ai_addr, found->ai_addrlen) || listen(handle, 1024)) {
        status = hone_fail(errno == EADDRINUSE ? HONE_AGAIN : HONE_IO, "cannot listen on %s: %s", listen_at, strerror(errno));
        if (handle >= 0) close(handle);
    } else {
        *made = handle;
    }
    freeaddrinfo(found);
    return status;
}

int hone_http_port(const hone_http_server *server)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    if (getsockname(server->socket, (struct sockaddr *)&at, &size)) return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port);
}

// ---- the server

static hone_status start(hone_http_server *server)
{
    const hone_http_options *o = &server->options;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_LISTEN_SOCKET, server->socket, NULL}, {MHD_OPTION_THREAD_POOL_SIZE, 2, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, o->connections_max, NULL}, {MHD_OPTION_CONNECTION_TIMEOUT, o->idle_seconds, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_BYTES_MAX, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server}, {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon = mhd.start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_call, server,
                                      MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    return server->daemon ? HONE_OK : hone_fail(HONE_IO, "libmicrohttpd cannot serve on %s", o->listen);
}

hone_status hone_http_serve(const hone_http_options *options, hone_http_server **made)
{
    hone_status status = need_library();
    if (status != HONE_OK) return status;
    hone_http_server *server = hone_calloc(1, sizeof *server);
    if (!server) return HONE_NO_MEMORY;
    server->options = *options;
    server->socket = -1;
    HONE_TRY(open_socket(options->listen, &server->socket));
    HONE_TRY(hone_http_guests_new(&server->guests));
    HONE_TRY(start(server));
    *made = server;
    return HONE_OK;
out:
    if (server->socket >= 0) close(server->socket);
    hone_http_guests_free(server->guests);
    hone_free(server);
    return status;
}

void hone_http_quiesce(hone_http_server *server)
{
    (void)mhd.quiesce_daemon(server->daemon);
}

void hone_http_stop(hone_http_server *server)
{
    if (!server) return;
    hone_http_quiesce(server);         // else the library closes the socket
    mhd.stop_daemon(server->daemon);
    hone_http_guests_free(server->guests);
    close(server->socket);
    hone_free(server);
}
