// SPDX-License-Identifier: Apache-2.0
// Which devices, toolchains and problems a store has measurements of, over all its layers; and which device a word names.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "db/words_priv.h"

static const char devices_sql[] =
    "SELECT d.spelling, (SELECT count(*) FROM measurement m WHERE m.device = d.number) AS rows FROM device d WHERE rows > 0";

hone_status hone_store_each_device(hone_store *store, hone_status (*each)(void *user, const char *spelling, int64_t measurements), void *user)
{
    hone_word_list list = {0};
    hone_status status = hone_words_collect(store, devices_sql, NULL, &list);
    hone_words_join(&list);
    for (size_t i = 0; status == HONE_OK && i < list.count; i++) status = each(user, list.items[i].text, list.items[i].count);
    hone_words_clear(&list);
    return status;
}

// Without counting, which takes a scan of all rows.
static const char measured_sql[] = "SELECT d.spelling, 1 FROM device d WHERE EXISTS (SELECT 1 FROM measurement m WHERE m.device = d.number)";

// "h200" or "cuda:h200"
static bool names_device(const char *wanted, const char *spelling)
{
    const char *colon = strchr(wanted, ':');
    size_t backend = strcspn(spelling, " ");
    if (!strcmp(wanted, spelling)) return true;
    if (!colon) return strcasestr(spelling, wanted) != NULL;
    return (size_t)(colon - wanted) == backend && !strncasecmp(wanted, spelling, backend) && strcasestr(spelling + backend, colon + 1);
}

static hone_status no_device(const char *wanted, const hone_word_list *list)
{
    hone_text text;
    hone_text_init(&text);
    for (size_t i = 0; i < list->count; i++) hone_text_printf(&text, "%s\n  %s", i ? "" : "; it has measurements of", list->items[i].text);
    hone_status status = hone_fail(HONE_MISS, "the database has no device '%s'%s", wanted,
                                   list->count ? hone_text_get(&text) : "; it has no measurements at all: `hone tune` makes some");
    hone_text_clear(&text);
    return status;
}

static hone_status many_devices(const char *wanted, const hone_word_list *list)
{
    hone_text text;
    hone_text_init(&text);
    for (size_t i = 0; i < list->count; i++)
        if (names_device(wanted, list->items[i].text)) hone_text_printf(&text, "\n  %s", list->items[i].text);
    hone_status status = hone_fail(HONE_USAGE, "'%s' names several devices of the database; say which:%s", wanted, hone_text_get(&text));
    hone_text_clear(&text);
    return status;
}

static hone_status choose_device(const char *wanted, const hone_word_list *list, const char **found)
{
    size_t matches = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!names_device(wanted, list->items[i].text)) continue;
        *found = list->items[i].text;
        matches++;
        if (!strcmp(wanted, *found)) return HONE_OK;
    }
    if (matches == 1) return HONE_OK;
    return matches ? many_devices(wanted, list) : no_device(wanted, list);
}

hone_status hone_store_find_device(hone_store *store, const char *wanted, char *spelling, size_t capacity)
{
    hone_word_list list = {0};
    const char *found = NULL;
    hone_status status = hone_words_collect(store, measured_sql, NULL, &list);
    hone_words_join(&list);
    if (status == HONE_OK) status = choose_device(wanted, &list, &found);
    if (status == HONE_OK && strlen(found) >= capacity) status = hone_fail(HONE_INTERNAL, "the spelling of %s is too long", found);
    if (status == HONE_OK) memcpy(spelling, found, strlen(found) + 1);
    hone_words_clear(&list);
    return status;
}

static const char toolchains_sql[] =
    "SELECT t.spelling, max(r.start_unix_ms) FROM (SELECT DISTINCT toolchain, run FROM measurement"
    " WHERE device = (SELECT number FROM device WHERE spelling = ?)) m"
    " JOIN toolchain t ON t.number = m.toolchain JOIN run r ON r.number = m.run GROUP BY m.toolchain";

static bool is_newer(const hone_word *a, const hone_word *b)
{
    return a->count != b->count ? a->count > b->count : strcmp(a->text, b->text) > 0;
}

hone_status hone_store_find_toolchain(hone_store *store, const char *device, char *spelling, size_t capacity)
{
    hone_word_list list = {0};
    const hone_word *newest = NULL;
    hone_status status = hone_words_collect(store, toolchains_sql, device, &list);
    for (size_t i = 0; i < list.count; i++)
        if (!newest || is_newer(&list.items[i], newest)) newest = &list.items[i];
    if (status == HONE_OK && !newest) status = hone_fail(HONE_MISS, "the database has no measurements of the device %s", device);
    if (status == HONE_OK && strlen(newest->text) >= capacity) status = hone_fail(HONE_INTERNAL, "the spelling of a toolchain is too long");
    if (status == HONE_OK) memcpy(spelling, newest->text, strlen(newest->text) + 1);
    hone_words_clear(&list);
    return status;
}

hone_status hone_store_each_problem(hone_store *store, const char *device, hone_status (*each)(void *user, const char *problem), void *user)
{
    static const char sql[] = "SELECT p.spelling, 1 FROM (SELECT DISTINCT problem FROM measurement"
        " WHERE device = (SELECT number FROM device WHERE spelling = ?)) m JOIN problem p ON p.number = m.problem";
    hone_word_list list = {0};
    hone_status status = hone_words_collect(store, sql, device, &list);
    hone_words_join(&list);
    for (size_t i = 0; status == HONE_OK && i < list.count; i++) status = each(user, list.items[i].text);
    hone_words_clear(&list);
    return status;
}
