// SPDX-License-Identifier: Apache-2.0
#ifndef HONE_DB_EXCHANGE_PRIV_H
#define HONE_DB_EXCHANGE_PRIV_H

#include "db/exchange.h"
#include "db/http_client.h"

struct hone_remote {
    hone_http_client *client;      // NULL for a folder
    char *folder;                  // owned; of file:///DIR
    char *prefix;                  // owned; of s3://BUCKET/PREFIX: "" or with a slash at its end
    char *place;                   // owned: for sentences
    const struct hone_segments *segments;   // NULL: a hub
};

// Where segments lie: names are 64 hex digits, contents never change.
typedef struct hone_segments {
    const char *scheme;
    hone_status (*open)(hone_remote *remote, const hone_remote_options *options);
    hone_status (*each)(hone_remote *remote, hone_status (*each)(void *user, const char *name), void *user);
    hone_status (*read)(hone_remote *remote, const char *name, void **blob, size_t *size_bytes);      // caller frees
    // *made: it was not there. Of two who write the same at once one makes it.
    hone_status (*write)(hone_remote *remote, const char *name, const void *blob, size_t size_bytes, bool *made);
} hone_segments;

extern const hone_segments hone_segments_folder, hone_segments_s3;

hone_status hone_push_segments(hone_store *store, hone_remote *remote, hone_exchanged *done);
hone_status hone_pull_segments(hone_store *store, hone_remote *remote, hone_exchanged *done);

// One call, tried again while the other side is busy. Any answer but 200 (and `also`) is a failure with its sentence.
hone_status hone_remote_call(hone_remote *remote, const hone_http_call *call, int also, hone_http_result *result);

#endif
