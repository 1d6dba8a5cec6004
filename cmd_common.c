// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "db/ruling.h"

int hone_cmd_fail(hone_status status)
{
    fprintf(stderr, "hone: %s\n", hone_error_text());
    return hone_status_exit_code(status);
}

hone_status hone_cmd_print(hone_text *text)
{
    hone_status status = hone_text_status(text);
    if (status != HONE_OK) return status;
    const char *data = hone_text_get(text);
    bool ends = text->size && data[text->size - 1] == '\n';
    if (fwrite(data, 1, text->size, stdout) == text->size && (ends || putchar('\n') != EOF) && !fflush(stdout)) return HONE_OK;
    return hone_fail(HONE_IO, "cannot write to the standard output: %s", strerror(errno));
}

hone_status hone_cmd_find_writer(hone_store *store, hone_key *key)
{
    hone_status status = hone_key_open(NULL, key);
    if (status == HONE_OK) return hone_store_own(store, key, false);
    if (status != HONE_IO) return status;
    fprintf(stderr, "hone: %s; the run is recorded as nobody's\n", hone_error_text());
    strcpy(key->writer, "local");
    return HONE_OK;
}

volatile sig_atomic_t hone_cmd_stop;

static void note_signal(int number)
{
    (void)number;
    hone_cmd_stop = 1;
}

void hone_cmd_catch_signals(void)
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}
