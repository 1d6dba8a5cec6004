// SPDX-License-Identifier: Apache-2.0
// Training a ranking: XGBoost's pairwise objective over what was measured, one group for each problem and device. The library (Debian's
// libxgboost0) is opened when somebody trains; ranking itself needs none. One thread and a fixed seed: the same lesson makes the same bytes.
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "base/alloc.h"
#include "base/dl.h"
#include "tuner/rank_priv.h"

#define NAMES_MAX 1024
#define GRADES 31                      // of how near the fastest a tactic is
#define TREES 100                      // 300 of half the step rank no better on networks held out (docs/tuning.md)
#define NODE_IDS_MAX 1024              // of one tree of depth 6, with room

// ---- the library

static struct {
    hone_dl dl;
    __typeof__(XGBGetLastError) *error;
    __typeof__(XGDMatrixCreateFromMat) *matrix;
    __typeof__(XGDMatrixFree) *free_matrix;
    __typeof__(XGDMatrixSetFloatInfo) *set_floats;
    __typeof__(XGDMatrixSetUIntInfo) *set_uints;
    __typeof__(XGBoosterCreate) *create;
    __typeof__(XGBoosterFree) *free;
    __typeof__(XGBoosterSetParam) *set;
    __typeof__(XGBoosterUpdateOneIter) *update;
    __typeof__(XGBoosterDumpModel) *dump;
} xgboost;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static hone_status library_status;

static void open_library(void)
{
    static const char *const names[] = {"libxgboost.so.0", "libxgboost.so", NULL};
    const hone_dl_symbol symbols[] = {
        {"XGBGetLastError", &xgboost.error, 0}, {"XGDMatrixCreateFromMat", &xgboost.matrix, 0}, {"XGDMatrixFree", &xgboost.free_matrix, 0},
        {"XGDMatrixSetFloatInfo", &xgboost.set_floats, 0}, {"XGDMatrixSetUIntInfo", &xgboost.set_uints, 0}, {"XGBoosterCreate", &xgboost.create, 0},
        {"XGBoosterFree", &xgboost.free, 0}, {"XGBoosterSetParam", &xgboost.set, 0}, {"XGBoosterUpdateOneIter", &xgboost.update, 0},
        {"XGBoosterDumpModel", &xgboost.dump, 0},
    };
    library_status = hone_dl_open(&xgboost.dl, names);
    if (!library_status) library_status = hone_dl_bind(&xgboost.dl, symbols, sizeof symbols / sizeof *symbols);
}

static hone_status need_library(void)
{
    pthread_once(&once, open_library);
    return library_status ? hone_fail(HONE_NO_DEVICE, "training a ranking needs XGBoost (Debian: apt install libxgboost0), which cannot be opened here") : HONE_OK;
}

static hone_status check(int answer)
{
    return answer ? hone_fail(HONE_INTERNAL, "XGBoost: %.400s", xgboost.error()) : HONE_OK;
}

// ---- the matrix

typedef struct table {
    char names[NAMES_MAX][HONE_TRAIT_NAME];    // sorted
    size_t n_names;
    float *values, *grades;            // owned: rows x names; a row
    unsigned *groups;                  // owned: rows in each
    size_t n_groups, n_rows;
    float *row;                        // being filled; NULL: names are collected
} table;

// Where a name stands, or would stand.
static size_t find_name(const table *t, const char *name, bool *found)
{
    size_t low = 0, high = t->n_names;
    *found = false;
    while (low < high && !*found) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, t->names[middle]);
        *found = !order;
        if (order > 0) low = middle + 1;
        else high = middle;
    }
    return high;
}

static void take(void *user, const char *name, double value)
{
    table *t = user;
    bool found;
    size_t at = find_name(t, name, &found);
    if (t->row && found) t->row[at] = (float)value;
    if (t->row || found || t->n_names == NAMES_MAX) return;
    memmove(t->names[at + 1], t->names[at], (t->n_names - at) * sizeof *t->names);
    snprintf(t->names[at], HONE_TRAIT_NAME, "%s", name);
    t->n_names++;
}

// One pass over all observations, group by group.
static void pass(table *t, const hone_lesson *l)
{
    hone_case c = {0};
    t->n_groups = t->n_rows = 0;
    while (hone_lesson_next(l, &c)) {
        for (size_t k = 0; k < c.n; k++, t->n_rows++) {
            if (t->values) t->row = t->values + t->n_rows * t->n_names;
            if (t->grades) t->grades[t->n_rows] = (float)round(GRADES * c.items[0].ns / c.items[k].ns);
            hone_traits_of_problem(&c.problem, &c.target, take, t);
            hone_traits_of_tactic(&c.problem, &c.items[k].tactic, &c.target, c.items[k].source, c.items[k].estimate_ns, take, t);
        }
        if (t->groups) t->groups[t->n_groups] = (unsigned)c.n;
        t->n_groups++;
    }
}

static hone_status fill(table *t, const hone_lesson *l)
{
    pass(t, l);
    if (!t->n_rows) return hone_fail(HONE_MISS, "nothing was measured on a GPU there: there is nothing to learn from");
    t->values = hone_alloc(t->n_rows * t->n_names * sizeof *t->values);
    t->grades = hone_alloc(t->n_rows * sizeof *t->grades);
    t->groups = hone_alloc(t->n_groups * sizeof *t->groups);
    if (!t->values || !t->grades || !t->groups) return HONE_NO_MEMORY;
    for (size_t k = 0; k < t->n_rows * t->n_names; k++) t->values[k] = NAN;
    pass(t, l);
    return HONE_OK;
}

// ---- trees

// XGBoost's lines, "ID:[fTRAIT<LIMIT] yes=ID,no=ID,missing=ID" and "ID:leaf=VALUE", in any order; here in the order of the ids, which it gives in
// pairs behind their parent.
static hone_status print_tree(const char *dump, hone_text *text)
{
    struct { char line[96]; } nodes[NODE_IDS_MAX];
    int n = 0, id, trait, yes, no, missing;
    char number[32];
    memset(nodes, 0, sizeof nodes);
    for (const char *at = dump; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        at += strspn(at, "\t");
        if (sscanf(at, "%d:", &id) != 1 || id < 0 || id >= NODE_IDS_MAX) return hone_fail(HONE_INTERNAL, "XGBoost: a tree of too many nodes");
        if (sscanf(at, "%d:leaf=%31[-+.0-9eE]", &id, number) == 2) snprintf(nodes[id].line, sizeof nodes->line, "%s", number);
        else if (sscanf(at, "%d:[f%d<%31[-+.0-9eE]] yes=%d,no=%d,missing=%d", &id, &trait, number, &yes, &no, &missing) == 6 && no == yes + 1)
            snprintf(nodes[id].line, sizeof nodes->line, "%d %s %d %c", trait, number, yes, missing == yes ? 'y' : 'n');
        else return hone_fail(HONE_INTERNAL, "XGBoost: a node that is not understood: %.80s", at);
        n = id >= n ? id + 1 : n;
    }
    hone_text_printf(text, "tree %d\n", n);
    for (int k = 0; k < n; k++) hone_text_printf(text, "%s\n", *nodes[k].line ? nodes[k].line : "0");
    return HONE_OK;
}

static hone_status print_model(const table *t, BoosterHandle booster, hone_text *text)
{
    bst_ulong trees;
    const char **dumps;
    hone_status status = check(xgboost.dump(booster, "", 0, &trees, &dumps));
    hone_text_printf(text, "hone ranking 1\n");
    for (size_t k = 0; k < t->n_names; k++) hone_text_printf(text, "trait %s\n", t->names[k]);
    for (bst_ulong k = 0; k < trees && !status; k++) status = print_tree(dumps[k], text);
    hone_text_printf(text, "end %llu\n", (unsigned long long)trees);
    return status ? status : hone_text_status(text);
}

static hone_status train(const table *t, DMatrixHandle matrix, hone_text *text)
{
    static const char *const settings[][2] = {
        {"objective", "rank:pairwise"}, {"tree_method", "hist"}, {"max_depth", "6"}, {"eta", "0.2"}, {"subsample", "0.8"}, {"colsample_bytree", "0.5"},
        {"seed", "1"}, {"nthread", "1"}, {"verbosity", "0"},
    };
    BoosterHandle booster = NULL;
    hone_status status = HONE_OK;
    HONE_TRY(check(xgboost.create(&matrix, 1, &booster)));
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) HONE_TRY(check(xgboost.set(booster, settings[k][0], settings[k][1])));
    for (int k = 0; k < TREES; k++) HONE_TRY(check(xgboost.update(booster, k, matrix)));
    HONE_TRY(print_model(t, booster, text));
out:
    if (booster) xgboost.free(booster);
    return status;
}

hone_status hone_lesson_learn(const hone_lesson *lesson, hone_text *text)
{
    DMatrixHandle matrix = NULL;
    hone_status status = HONE_OK;
    table *t = hone_calloc(1, sizeof *t);
    if (!t) return HONE_NO_MEMORY;
    HONE_TRY(need_library());
    HONE_TRY(fill(t, lesson));
    HONE_TRY(check(xgboost.matrix(t->values, t->n_rows, t->n_names, NAN, &matrix)));
    HONE_TRY(check(xgboost.set_floats(matrix, "label", t->grades, t->n_rows)));
    HONE_TRY(check(xgboost.set_uints(matrix, "group", t->groups, t->n_groups)));
    HONE_TRY(train(t, matrix, text));
out:
    if (matrix) xgboost.free_matrix(matrix);
    hone_free(t->values);
    hone_free(t->grades);
    hone_free(t->groups);
    hone_free(t);
    return status;
}
