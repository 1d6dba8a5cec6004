// SPDX-License-Identifier: Apache-2.0
// The exchange through an S3 store: s3://BUCKET/PREFIX. libcurl signs (AWS Signature 4). Versions before 8.9 sign some forms of URL
// wrongly (curl issues 8107, 9550, 11794, 13754), so only three forms are used, all in path style: a key of hex digits behind a plain prefix, and a listing
// whose parameters stand in the order of their names and are escaped already. tests/hub/sigv4.py holds the signatures of all three against botocore's.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/exchange_priv.h"

enum { SECONDS_MAX = 300, PREFIX_BYTES_MAX = 512, TRIES = 8 };

#define LISTING_BYTES_MAX ((size_t)32 << 20)

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static bool is_plain(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./")] == 0;
}

// The usual variables of AWS's own tools: keys, region, and the endpoint of another vendor's store.
static hone_status connect(hone_remote *remote, const hone_remote_options *options, const char *bucket, int bucket_bytes)
{
    const char *region = setting("AWS_REGION", setting("AWS_DEFAULT_REGION", "us-east-1"));
    const char *endpoint = setting("AWS_ENDPOINT_URL_S3", setting("AWS_ENDPOINT_URL", NULL));
    hone_text url;
    hone_text_init(&url);
    if (endpoint) hone_text_printf(&url, "%.*s/%.*s", (int)(strlen(endpoint) - (endpoint[strlen(endpoint) - 1] == '/')), endpoint, bucket_bytes, bucket);
    else hone_text_printf(&url, "https://s3.%s.amazonaws.com/%.*s", region, bucket_bytes, bucket);
    const hone_http_place place = {
        .url = hone_text_get(&url), .ca_file = options->ca_file, .s3_region = region, .s3_key = setting("AWS_ACCESS_KEY_ID", NULL),
        .s3_secret = setting("AWS_SECRET_ACCESS_KEY", NULL), .s3_session = setting("AWS_SESSION_TOKEN", NULL), .answer_max_bytes = LISTING_BYTES_MAX,
    };
    hone_status status = hone_text_status(&url);
    if (status == HONE_OK && (!place.s3_key || !place.s3_secret))
        status = hone_fail(HONE_USAGE, "%s needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment", options->url);
    if (status == HONE_OK) status = hone_http_client_open(&place, &remote->client);
    hone_text_clear(&url);
    return status;
}

static hone_status open_s3(hone_remote *remote, const hone_remote_options *options)
{
    const char *bucket = options->url + strlen("s3://");
    size_t bucket_bytes = strcspn(bucket, "/");
    const char *prefix = bucket + bucket_bytes + (bucket[bucket_bytes] == '/');
    size_t size = strlen(prefix);
    if (!bucket_bytes || !is_plain(bucket) || size > PREFIX_BYTES_MAX || strstr(prefix, "//") || strstr(prefix, ".."))
        return hone_fail(HONE_USAGE, "%s is no place for segments: s3://BUCKET/PREFIX, of letters, digits and - _ . /", options->url);
    while (size && prefix[size - 1] == '/') size--;
    hone_text text;
    hone_text_init(&text);
    hone_text_printf(&text, "%.*s%s", (int)size, prefix, size ? "/" : "");
    remote->prefix = hone_text_take(&text);
    return remote->prefix ? connect(remote, options, bucket, (int)bucket_bytes) : HONE_NO_MEMORY;
}

// ---- one segment

static hone_status read_s3(hone_remote *remote, const char *name, void **blob, size_t *size_bytes)
{
    char path[PREFIX_BYTES_MAX + HONE_ID_TEXT + 2];
    hone_http_result result;
    snprintf(path, sizeof path, "/%s%s", remote->prefix, name);
    const hone_http_call call = {.method = "GET", .path = path, .seconds_max = SECONDS_MAX};
    hone_status status = hone_remote_call(remote, &call, 200, &result);
    if (status != HONE_OK) return status;
    *size_bytes = result.body.size;
    *blob = hone_text_take(&result.body);
    return HONE_OK;
}

// 412: another writer was first. 409: two at the same moment, so ask again.
static hone_status write_s3(hone_remote *remote, const char *name, const void *blob, size_t size_bytes, bool *made)
{
    char path[PREFIX_BYTES_MAX + HONE_ID_TEXT + 2];
    hone_http_result result;
    snprintf(path, sizeof path, "/%s%s", remote->prefix, name);
    const hone_http_call call = {.method = "PUT", .path = path, .type = "application/octet-stream", .body = blob, .body_bytes = size_bytes,
                                 .header = "If-None-Match: *", .seconds_max = SECONDS_MAX};
    *made = false;
    for (int attempt = 0; attempt < TRIES; attempt++) {
        hone_status status = hone_remote_call(remote, &call, 409, &result);
        if (status != HONE_OK && result.code == 412) return HONE_OK;
        if (status != HONE_OK) return status;
        int code = result.code;
        hone_http_result_clear(&result);
        *made = code == 200;
        if (code != 409) return HONE_OK;
    }
    return hone_fail(HONE_AGAIN, "%s: others write the segment %s all the time: try again later", remote->place, name);
}

// ---- listing

// The text of the next <NAME>...</NAME>, which in a listing holds nothing else; *at moves behind it.
static bool next_element(char **at, const char *name, char **text)
{
    char head[32], tail[32];
    snprintf(head, sizeof head, "<%s>", name);
    snprintf(tail, sizeof tail, "</%s>", name);
    char *begin = strstr(*at, head), *end = begin ? strstr(begin, tail) : NULL;
    if (!end) return false;
    *end = 0;
    *text = begin + strlen(head);
    *at = end + 1;
    return true;
}

static hone_status list_page(hone_remote *remote, const char *after, hone_http_result *result)
{
    hone_text path;
    hone_text_init(&path);
    hone_text_printf(&path, "/?list-type=2&prefix=");
    hone_http_escape(&path, remote->prefix);
    if (*after) hone_text_printf(&path, "&start-after=");
    hone_http_escape(&path, after);
    hone_status status = hone_text_status(&path);
    const hone_http_call call = {.method = "GET", .path = hone_text_get(&path), .seconds_max = SECONDS_MAX};
    if (status == HONE_OK) status = hone_remote_call(remote, &call, 200, result);
    hone_text_clear(&path);
    return status;
}

static hone_status each_s3(hone_remote *remote, hone_status (*each)(void *user, const char *name), void *user)
{
    char after[PREFIX_BYTES_MAX + 1100] = "";
    size_t prefix_bytes = strlen(remote->prefix);
    for (bool more = true; more;) {
        hone_http_result result;
        hone_status status = list_page(remote, after, &result);
        if (status != HONE_OK) return status;
        char *at = result.body.data ? result.body.data : after, *key;
        more = strstr(at, "<IsTruncated>true</IsTruncated>") != NULL;
        bool moved = false;
        while (status == HONE_OK && next_element(&at, "Key", &key)) {
            if (strncmp(key, remote->prefix, prefix_bytes) || strlen(key) >= sizeof after) continue;
            status = each(user, key + prefix_bytes);
            strcpy(after, key);
            moved = true;
        }
        hone_http_result_clear(&result);
        if (status != HONE_OK) return status;
        if (more && !moved) return hone_fail(HONE_IO, "%s lists without end", remote->place);
    }
    return HONE_OK;
}

const hone_segments hone_segments_s3 = {.scheme = "s3://", .open = open_s3, .each = each_s3, .read = read_s3, .write = write_s3};
