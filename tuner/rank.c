// SPDX-License-Identifier: Apache-2.0
// The file is text, so that it can be reviewed and made again:
//   hone ranking 1
//   trait NAME                        in order; nodes refer to them by number, from 0
//   tree NODES
//   TRAIT LIMIT CHILD y|n             below LIMIT (a float) goes to node CHILD, else to CHILD + 1; without the trait to the first, y, or second
//   VALUE                             a leaf
//   end TREES
#include "tuner/rank.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

#define CEILING_BYTES ((size_t)16 << 20)
#define TRAITS_MAX 1024
#define NODES_MAX ((size_t)1 << 20)

typedef struct node {
    float value;                       // of a leaf; otherwise the limit
    int trait;                         // -1: a leaf
    int child;                         // within the tree
    bool absent_first;
} node;

struct hone_ranking {
    char (*traits)[HONE_TRAIT_NAME];   // owned, as are the others
    size_t n_traits, traits_capacity;
    int *sorted;                       // numbers of traits, by name
    node *nodes;
    size_t n_nodes, nodes_capacity;
    size_t *roots;
    size_t n_trees, trees_capacity;
};

// ---- reading

typedef struct reader {
    hone_ranking *ranking;
    hone_scan scan;
    int line;
} reader;

static hone_status bad(const reader *r, const char *why)
{
    return hone_fail(HONE_DAMAGED, "line %d: %s", r->line, why);
}

static bool end_line(reader *r)
{
    r->line++;
    return hone_scan_char(&r->scan, '\n');
}

static hone_status read_trait(reader *r)
{
    hone_ranking *k = r->ranking;
    size_t size = strcspn(r->scan.at, "\n");
    if (!size || size >= HONE_TRAIT_NAME) return bad(r, "no name of a trait");
    if (hone_grow(&k->traits, k->n_traits, &k->traits_capacity, sizeof *k->traits, TRAITS_MAX)) return HONE_NO_MEMORY;
    snprintf(k->traits[k->n_traits++], HONE_TRAIT_NAME, "%.*s", (int)size, r->scan.at);
    r->scan.at += size;
    return end_line(r) ? HONE_OK : bad(r, "it is cut short");
}

// Children lie behind their parent, so that no walk is endless.
static hone_status read_node(reader *r, int64_t at, int64_t count)
{
    hone_ranking *k = r->ranking;
    node made = {.trait = -1};
    double number;
    int64_t child;
    const char *start = r->scan.at;
    if (!hone_scan_float(&r->scan, &number) || !isfinite(number)) return bad(r, "no number");
    if (*r->scan.at == ' ') {
        int64_t trait;
        r->scan.at = start;
        bool fits = hone_scan_int(&r->scan, &trait) && hone_scan_char(&r->scan, ' ') && hone_scan_float(&r->scan, &number) &&
                    hone_scan_char(&r->scan, ' ') && hone_scan_int(&r->scan, &child) && hone_scan_char(&r->scan, ' ');
        if (!fits || trait < 0 || (size_t)trait >= k->n_traits || !isfinite(number)) return bad(r, "a node reads TRAIT LIMIT CHILD y|n");
        if (child <= at || child > count - 2) return bad(r, "a child must lie behind its parent");
        made = (node){.trait = (int)trait, .child = (int)child, .absent_first = *r->scan.at == 'y'};
        if (!hone_scan_char(&r->scan, made.absent_first ? 'y' : 'n')) return bad(r, "a node reads TRAIT LIMIT CHILD y|n");
    }
    made.value = (float)number;
    if (hone_grow(&k->nodes, k->n_nodes, &k->nodes_capacity, sizeof *k->nodes, NODES_MAX)) return HONE_NO_MEMORY;
    k->nodes[k->n_nodes++] = made;
    return end_line(r) ? HONE_OK : bad(r, "something follows the node");
}

static hone_status read_tree(reader *r)
{
    hone_ranking *k = r->ranking;
    int64_t count;
    hone_status status = HONE_OK;
    if (!hone_scan_int(&r->scan, &count) || count < 1 || count > (int64_t)NODES_MAX || !end_line(r)) return bad(r, "a tree says how many nodes it has");
    if (hone_grow(&k->roots, k->n_trees, &k->trees_capacity, sizeof *k->roots, NODES_MAX)) return HONE_NO_MEMORY;
    k->roots[k->n_trees++] = k->n_nodes;
    for (int64_t n = 0; n < count && !status; n++) status = read_node(r, n, count);
    return status;
}

static int by_name(const void *a, const void *b, void *user)
{
    const hone_ranking *k = user;
    return strcmp(k->traits[*(const int *)a], k->traits[*(const int *)b]);
}

static hone_status sort_names(hone_ranking *k)
{
    k->sorted = hone_alloc((k->n_traits + 1) * sizeof *k->sorted);
    if (!k->sorted) return HONE_NO_MEMORY;
    for (size_t i = 0; i < k->n_traits; i++) k->sorted[i] = (int)i;
    qsort_r(k->sorted, k->n_traits, sizeof *k->sorted, by_name, k);
    return HONE_OK;
}

hone_status hone_ranking_parse(const char *text, hone_ranking **ranking)
{
    hone_status status = HONE_OK;
    int64_t trees;
    *ranking = NULL;
    reader r = {.ranking = hone_calloc(1, sizeof *r.ranking), .scan = {text}, .line = 1};
    if (!r.ranking) return HONE_NO_MEMORY;
    if (!hone_scan_literal(&r.scan, "hone ranking 1") || !end_line(&r)) HONE_TRY(bad(&r, "it does not begin with \"hone ranking 1\""));
    while (hone_scan_literal(&r.scan, "trait ")) HONE_TRY(read_trait(&r));
    while (hone_scan_literal(&r.scan, "tree ")) HONE_TRY(read_tree(&r));
    bool whole = hone_scan_literal(&r.scan, "end ") && hone_scan_int(&r.scan, &trees) && (size_t)trees == r.ranking->n_trees && trees;
    if (!whole || !end_line(&r) || *r.scan.at) HONE_TRY(bad(&r, "no end, or not as many trees as it says"));
    HONE_TRY(sort_names(r.ranking));
    *ranking = r.ranking;
    r.ranking = NULL;
out:
    hone_ranking_free(r.ranking);
    return status;
}

hone_status hone_ranking_read(const char *path, hone_ranking **ranking)
{
    char *text = NULL;
    size_t size;
    hone_status status = hone_file_read(path, CEILING_BYTES, &text, &size);
    if (!status) status = hone_ranking_parse(text, ranking);
    hone_free(text);
    return status ? hone_fail_in(status, "%s", path) : HONE_OK;
}

hone_status hone_ranking_find(hone_ranking **ranking)
{
    char path[4096];
    *ranking = NULL;
    return hone_path_shipped("ranking.txt", path, sizeof path) ? hone_ranking_read(path, ranking) : HONE_MISS;
}

hone_status hone_ranking_choose(const char *word, hone_ranking **ranking)
{
    *ranking = NULL;
    if (*word) return strcmp(word, "none") ? hone_ranking_read(word, ranking) : HONE_OK;
    if (hone_ranking_find(ranking)) *ranking = NULL;       // estimates order as well, only not as sharply
    return HONE_OK;
}

void hone_ranking_free(hone_ranking *k)
{
    if (!k) return;
    hone_free(k->traits);
    hone_free(k->sorted);
    hone_free(k->nodes);
    hone_free(k->roots);
    hone_free(k);
}

// ---- scores

static int find_trait(const hone_ranking *k, const char *name)
{
    size_t low = 0, high = k->n_traits;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, k->traits[k->sorted[middle]]);
        if (!order) return k->sorted[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return -1;
}

bool hone_ranking_knows(const hone_ranking *k, const hone_tactic *tactic)
{
    char name[HONE_TRAIT_NAME];
    hone_trait_kernel(tactic, name);
    return find_trait(k, name) >= 0;
}

typedef struct row {
    const hone_ranking *ranking;
    float values[TRAITS_MAX];          // NAN: absent
} row;

static void set(void *user, const char *name, double value)
{
    row *r = user;
    int trait = find_trait(r->ranking, name);
    if (trait >= 0) r->values[trait] = (float)value;
}

static double walk(const node *tree, const float *values)
{
    const node *at = tree;
    while (at->trait >= 0) {
        float value = values[at->trait];
        bool first = isnan(value) ? at->absent_first : value < at->value;
        at = tree + at->child + !first;
    }
    return at->value;
}

double hone_ranking_score(const hone_ranking *k, const hone_problem *problem, const hone_tactic *tactic, const hone_target *target,
                          const hone_source *source, double estimate_ns)
{
    row r;
    double score = 0;
    r.ranking = k;
    for (size_t i = 0; i < k->n_traits; i++) r.values[i] = NAN;
    hone_traits_of_problem(problem, target, set, &r);
    hone_traits_of_tactic(problem, tactic, target, source, estimate_ns, set, &r);
    for (size_t i = 0; i < k->n_trees; i++) score -= walk(&k->nodes[k->roots[i]], r.values);
    return score;
}

void hone_ranking_order(double *scores, size_t n, size_t *order)
{
    for (size_t placed = 0; placed < n; placed++) {
        size_t next = 0;
        for (size_t k = 1; k < n && k < HONE_RANKING_REACH * (placed + 1); k++)
            if (scores[k] < scores[next]) next = k;
        order[placed] = next;
        scores[next] = INFINITY;       // he has his place; there is always one behind him who has none
    }
}
