// SPDX-License-Identifier: Apache-2.0
// A recursive-descent evaluator. Both sides of && || ?: are evaluated, but only the side that counts can fail.
#include "kernels/nvrtc_expr_priv.h"

#include <string.h>

#include "base/text.h"

typedef struct reader {
    hone_scan scan;
    const hone_vars *vars;
    const char *text;      // whole, for messages
    bool failed;           // the sentence is recorded
    int idle;              // inside a side that does not count
    int depth;
} reader;

enum { DEPTH_MAX = 64 };

// ---- variables

static int find(const hone_vars *vars, const char *name)
{
    for (int k = 0; k < vars->n; k++)      // the first letter decides most comparisons; a space is walked a thousand times
        if (vars->at[k].name[0] == name[0] && !strcmp(vars->at[k].name, name)) return k;
    return -1;
}

void hone_vars_set(hone_vars *vars, const char *name, int64_t value)
{
    int k = find(vars, name);
    if (k < 0) {
        HONE_ASSERT(vars->n < HONE_VARS_MAX && strlen(name) < sizeof vars->at[0].name);
        k = vars->n++;
        strcpy(vars->at[k].name, name);
    }
    vars->at[k].value = value;
}

bool hone_vars_find(const hone_vars *vars, const char *name, int64_t *value)
{
    int k = find(vars, name);
    if (k >= 0) *value = vars->at[k].value;
    return k >= 0;
}

int64_t hone_vars_get(const hone_vars *vars, const char *name)
{
    int k = find(vars, name);
    HONE_ASSERT(k >= 0);
    return vars->at[k].value;
}

// ---- the grammar, lowest precedence first

static int64_t ternary(reader *r);

static int64_t fail(reader *r, const char *what, const char *name)
{
    if (!r->failed && !r->idle) {
        hone_fail(HONE_USAGE, "%s%s in \"%s\"", what, name, r->text);
        r->failed = true;
    }
    return 0;
}

// Unlike an idle side's values, its spelling always counts.
static int64_t fail_syntax(reader *r)
{
    r->idle = 0;
    return fail(r, "cannot read ", *r->scan.at ? r->scan.at : "the end");
}

static bool take(reader *r, const char *literal)
{
    while (*r->scan.at == ' ') r->scan.at++;
    if (*r->scan.at != literal[0] || r->failed) return false;
    return literal[1] ? hone_scan_literal(&r->scan, literal) : (r->scan.at++, true);
}

// Sizes come from problems that anyone may spell: what overflows wraps around.
static int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t minus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static int64_t times(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

static int64_t divide(reader *r, int64_t a, int64_t b, char op)
{
    if (!b) return fail(r, "division by zero", "");
    if (b == -1) return op == '/' ? minus(0, a) : 0;
    return op == '/' ? a / b : a % b;
}

static int64_t apply(reader *r, const char *name, int64_t a, int64_t b)
{
    if (!strcmp(name, "min")) return a < b ? a : b;
    if (!strcmp(name, "max")) return a > b ? a : b;
    if (!strcmp(name, "ceil")) return divide(r, plus(a, minus(b, 1)), b, '/');
    if (!strcmp(name, "align")) return times(divide(r, plus(a, minus(b, 1)), b, '/'), b);
    if (!strcmp(name, "pow2")) return a & minus(0, a);
    return fail(r, "unknown function ", name);
}

static int64_t call(reader *r, const char *name)
{
    int64_t a = ternary(r), b = take(r, ",") ? ternary(r) : 0;
    if (!take(r, ")")) return fail_syntax(r);
    return apply(r, name, a, b);
}

static int64_t primary(reader *r)
{
    char name[32];
    int64_t value;
    hone_scan_blanks(&r->scan);
    if (r->failed || ++r->depth > DEPTH_MAX) return fail_syntax(r);
    if (take(r, "(")) {
        value = ternary(r);
        if (!take(r, ")")) return fail_syntax(r);
    } else if (take(r, "!")) {
        value = !primary(r);
    } else if (hone_scan_int(&r->scan, &value)) {
    } else if (take(r, "-")) {
        value = minus(0, primary(r));
    } else if (!hone_scan_word(&r->scan, name, sizeof name)) {
        return fail_syntax(r);
    } else if (take(r, "(")) {
        value = call(r, name);
    } else if (!hone_vars_find(r->vars, name, &value)) {
        return fail(r, "unknown name ", name);
    }
    r->depth--;
    return value;
}

static int64_t product(reader *r)
{
    int64_t a = primary(r);
    for (;;) {
        if (take(r, "*")) a = times(a, primary(r));
        else if (take(r, "/")) a = divide(r, a, primary(r), '/');
        else if (take(r, "%")) a = divide(r, a, primary(r), '%');
        else return a;
    }
}

static int64_t sum(reader *r)
{
    int64_t a = product(r);
    for (;;) {
        if (take(r, "+")) a = plus(a, product(r));
        else if (take(r, "-")) a = minus(a, product(r));
        else return a;
    }
}

static int64_t comparison(reader *r)
{
    int64_t a = sum(r);
    for (;;) {
        if (take(r, "==")) a = a == sum(r);
        else if (take(r, "!=")) a = a != sum(r);
        else if (take(r, "<=")) a = a <= sum(r);
        else if (take(r, ">=")) a = a >= sum(r);
        else if (take(r, "<")) a = a < sum(r);
        else if (take(r, ">")) a = a > sum(r);
        else return a;
    }
}

static int64_t conjunction(reader *r)
{
    int64_t a = comparison(r);
    while (take(r, "&&")) {
        r->idle += !a;
        int64_t b = comparison(r);
        r->idle -= !a;
        a = a && b;
    }
    return a;
}

static int64_t disjunction(reader *r)
{
    int64_t a = conjunction(r);
    while (take(r, "||")) {
        r->idle += !!a;
        int64_t b = conjunction(r);
        r->idle -= !!a;
        a = a || b;
    }
    return a;
}

static int64_t ternary(reader *r)
{
    int64_t c = disjunction(r);
    if (!take(r, "?")) return c;
    r->idle += !c;
    int64_t a = ternary(r);
    r->idle -= !c;
    if (!take(r, ":")) return fail_syntax(r);
    r->idle += !!c;
    int64_t b = ternary(r);
    r->idle -= !!c;
    return c ? a : b;
}

hone_status hone_expr_eval(const char *text, const hone_vars *vars, int64_t *value)
{
    reader r = {.scan = {text}, .vars = vars, .text = text};
    *value = ternary(&r);
    hone_scan_blanks(&r.scan);
    if (!r.failed && *r.scan.at) fail_syntax(&r);
    return r.failed ? HONE_USAGE : HONE_OK;
}
