// SPDX-License-Identifier: Apache-2.0
#include "kernels/library.h"

#include <stdio.h>

static hone_status open_once(hone_library *library)
{
    hone_status status = HONE_OK;
    HONE_TRY(hone_dl_open(&library->dl, library->files));
    HONE_TRY(hone_dl_bind(&library->dl, library->symbols, library->n_symbols));
    HONE_TRY(library->start(library->version, sizeof library->version));
out:
    if (status) snprintf(library->why, sizeof library->why, "%s", hone_error_text());
    return status;
}

hone_status hone_library_open(hone_library *library)
{
    pthread_mutex_lock(&library->lock);
    if (!library->tried) {
        library->status = open_once(library);
        library->tried = true;
    }
    pthread_mutex_unlock(&library->lock);
    return library->status ? hone_fail(library->status, "%s", library->why) : HONE_OK;
}
