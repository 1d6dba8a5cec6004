// SPDX-License-Identifier: Apache-2.0
#include "base/dl.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

// Folders relative to where hone's own code lies, then absolute ones. The wheels' folders hold a pattern.
static const char *const places[] = {
    "%s", "%s/../lib",
    "%s/venv/lib/python3*/site-packages/nvidia/*/lib",         // the program in build/
    "%s/../venv/lib/python3*/site-packages/nvidia/*/lib",      // test programs in build/tests/, the program in build/asan/
    "%s/../../venv/lib/python3*/site-packages/nvidia/*/lib",   // test programs in build/asan/tests/
    "/usr/local/cuda/lib64",
};

static int find_origin(char origin[PATH_MAX])
{
    Dl_info facts;
    static const char anchor = 0;
    ssize_t size = -1;
    // A program's name in Dl_info is argv[0], which need not be a path; a library's is where it lies.
    if (dladdr(&anchor, &facts) && facts.dli_fname && strstr(facts.dli_fname, ".so") && realpath(facts.dli_fname, origin))
        size = (ssize_t)strlen(origin);
    else
        size = readlink("/proc/self/exe", origin, PATH_MAX - 1);
    if (size <= 0) return -1;
    origin[size] = 0;
    char *slash = strrchr(origin, '/');
    if (!slash) return -1;
    *slash = 0;
    return 0;
}

static void record_path(hone_dl *dl, const char *asked)
{
    struct link_map *map = NULL;
    char real[PATH_MAX];
    const char *found = asked;
    if (!dlinfo(dl->handle, RTLD_DI_LINKMAP, &map) && map && map->l_name[0]) found = map->l_name;
    if (strchr(found, '/') && realpath(found, real)) found = real;
    snprintf(dl->path, sizeof dl->path, "%.*s", (int)sizeof dl->path - 1, found);
}

static int try_open(hone_dl *dl, const char *path, hone_text *why)
{
    dl->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (dl->handle) {
        record_path(dl, path);
        return 1;
    }
    const char *error = dlerror();
    // A file that is there but does not load is the interesting case: keep the loader's own words.
    if (strchr(path, '/') && access(path, F_OK)) return 0;
    hone_text_printf(why, "%s%s", why->size ? "; " : "", error ? error : path);
    return 0;
}

static int try_place(hone_dl *dl, const char *pattern, const char *name, hone_text *why)
{
    glob_t found = {0};
    int is_open = 0;
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && !is_open; i++) {
            char path[PATH_MAX];
            int size = snprintf(path, sizeof path, "%s/%s", found.gl_pathv[i], name);
            if (size > 0 && size < (int)sizeof path && access(path, F_OK) == 0) is_open = try_open(dl, path, why);
        }
    }
    globfree(&found);
    return is_open;
}

static const char *place_text(const char *place, const char *origin, char text[PATH_MAX * 2])
{
    if (!strncmp(place, "%s", 2))
        snprintf(text, PATH_MAX * 2, "%s%s", origin, place + 2);
    else
        snprintf(text, PATH_MAX * 2, "%s", place);
    return text;
}

static int try_name(hone_dl *dl, const char *origin, const char *name, hone_text *why)
{
    char pattern[PATH_MAX * 2];
    if (strchr(name, '/')) return try_open(dl, name, why);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (try_place(dl, place_text(places[i], origin, pattern), name, why)) return 1;
    return try_open(dl, name, why);
}

static hone_status fail_open(const char *const *names, const char *origin, const hone_text *why)
{
    hone_text sentence;
    char place[PATH_MAX * 2];
    hone_text_init(&sentence);
    hone_text_printf(&sentence, "cannot open %s", names[0]);
    for (int i = 1; names[i]; i++) hone_text_printf(&sentence, " or %s", names[i]);
    hone_text_printf(&sentence, ": looked in");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        hone_text_printf(&sentence, " %s,", place_text(places[i], origin, place));
    hone_text_printf(&sentence, " and where the system's loader looks (LD_LIBRARY_PATH, ld.so.conf): %s", hone_text_get(why));
    hone_status status = hone_fail(HONE_NO_DEVICE, "%s", hone_text_get(&sentence));
    hone_text_clear(&sentence);
    return status;
}

hone_status hone_dl_open(hone_dl *dl, const char *const *names)
{
    char origin[PATH_MAX];
    hone_text why;
    *dl = (hone_dl){0};
    hone_text_init(&why);
    if (find_origin(origin)) strcpy(origin, ".");
    for (int i = 0; names[i]; i++)
        if (try_name(dl, origin, names[i], &why)) break;
    hone_status status = dl->handle ? HONE_OK : fail_open(names, origin, &why);
    hone_text_clear(&why);
    return status;
}

hone_status hone_dl_bind(hone_dl *dl, const hone_dl_symbol *symbols, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(dl->handle, symbols[i].name);
        if (!address && !symbols[i].optional)
            return hone_fail(HONE_NO_DEVICE, "%s lacks the function %s: it is too old or not what it claims to be", dl->path,
                             symbols[i].name);
        memcpy(symbols[i].slot, &address, sizeof address);
    }
    return HONE_OK;
}

void hone_dl_close(hone_dl *dl)
{
    if (dl->handle) dlclose(dl->handle);
    *dl = (hone_dl){0};
}
