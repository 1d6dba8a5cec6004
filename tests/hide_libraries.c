// SPDX-License-Identifier: Apache-2.0
// An auditor of the loader (rtld-audit(7)), for which the libraries of one name do not exist, wherever they lie and whoever opens them:
//     LD_AUDIT=build/tests/hide_libraries.so HIDE_LIBRARIES=libnvrtc PROGRAM
// It says on standard error what it hid and who asked, "hidden: FILE, asked by FILE" (the program itself: nothing behind "by"). It touches no
// file and needs no right, unlike a mount over them.
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned la_version(unsigned version)
{
    return version < LAV_CURRENT ? version : LAV_CURRENT;
}

// An object's cookie comes back when that object opens another.
unsigned la_objopen(struct link_map *map, Lmid_t list, uintptr_t *cookie)
{
    (void)list;
    *cookie = (uintptr_t)map;
    return 0;
}

char *la_objsearch(const char *name, uintptr_t *cookie, unsigned flag)
{
    const char *hidden = getenv("HIDE_LIBRARIES"), *slash = strrchr(name, '/'), *file = slash ? slash + 1 : name;
    const struct link_map *asking = (const struct link_map *)*cookie;
    if (!hidden || !*hidden || strncmp(file, hidden, strlen(hidden))) return (char *)(uintptr_t)name;
    if (flag == LA_SER_ORIG) fprintf(stderr, "hidden: %s, asked by %s\n", file, asking && asking->l_name ? asking->l_name : "");
    return NULL;
}
