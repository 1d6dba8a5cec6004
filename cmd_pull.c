// SPDX-License-Identifier: Apache-2.0
// hone pull: takes what a hub or a store has and a database lacks.
#include "base/status.h"
#include "cmd.h"
#include "cmd_remote.h"

static const struct argp_option options[] = {
    {"from", HONE_KEY_PLACE, "STORE", 0, "In place of a hub a store: file:///DIR or s3://BUCKET/PREFIX", 0},
    {"json", HONE_KEY_JSON, 0, 0, "The summary as one JSON object", 0}, {0},
};

int hone_cmd_pull(int argc, char **argv)
{
    static const struct argp argp = {options, hone_cmd_remote_parse, "", "Takes from a hub or a store what a database lacks, which is made when missing.", hone_cmd_remote_children, 0, 0};
    hone_cmd_remote asked = {0};
    hone_store *store = NULL;
    hone_remote *remote = NULL;
    hone_exchanged done;
    hone_status status;
    argv[0] = "hone pull";
    argp_err_exit_status = hone_status_exit_code(HONE_USAGE);
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    HONE_TRY(hone_store_open_layers(&asked.db, HONE_STORE_CREATE, &store));
    HONE_TRY(hone_remote_open(&asked.place, &remote));
    HONE_TRY(hone_pull(store, remote, &done));
    status = hone_cmd_remote_say(&asked, "taken", &done);
out:
    hone_remote_close(remote);
    hone_store_close(store);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
