// SPDX-License-Identifier: Apache-2.0
// hone push: what a hub or a store lacks of a database is signed, if it is new, and sent.
#include "base/status.h"
#include "cmd.h"
#include "cmd_remote.h"

static const struct argp_option options[] = {
    {"to", HONE_KEY_PLACE, "STORE", 0, "In place of a hub a store: file:///DIR or s3://BUCKET/PREFIX", 0},
    {"rulings", HONE_KEY_RULINGS, 0, 0, "Rulings in what is sent are to count; needs a token with the scope promote", 0},
    {"key", HONE_KEY_KEY, "FILE", 0, "The key that signs (default: writer.key in the user's data folder; made when missing)", 0},
    {"json", HONE_KEY_JSON, 0, 0, "The summary as one JSON object", 0}, {0},
};

enum { BATCH_ROWS = 1000 };      // about 100 kB on the way: small enough to be repeated, large enough to be worth a request

int hone_cmd_push(int argc, char **argv)
{
    static const struct argp argp = {options, hone_cmd_remote_parse, "", "Sends what a hub or a store lacks of a database.", hone_cmd_remote_children, 0, 0};
    hone_cmd_remote asked = {0};
    hone_key key = {0};
    hone_store *store = NULL;
    hone_remote *remote = NULL;
    hone_exchanged done;
    int64_t made;
    hone_status status;
    argv[0] = "hone push";
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    HONE_TRY(hone_store_open_layers(&asked.db, HONE_STORE_WRITE, &store));
    HONE_TRY(hone_remote_open(&asked.place, &remote));
    HONE_TRY(hone_key_open(asked.key_file, &key));
    HONE_TRY(hone_batch_make(store, &key, BATCH_ROWS, &made));
    HONE_TRY(hone_push(store, remote, asked.rulings, &done));
    status = hone_cmd_remote_say(&asked, "sent", &done);
out:
    hone_key_clear(&key);
    hone_remote_close(remote);
    hone_store_close(store);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
