// SPDX-License-Identifier: Apache-2.0
// An evaluator by precedence climbing. Both sides of && || ?: are evaluated, but only the side that counts can fail. A space is walked
// a thousand times, each point with dozens of expressions: hence the names' table and one look at an operator, not one a level.
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

// The name's slot, or the free one where it belongs; there are more slots than variables.
static unsigned slot_of(const hone_vars *vars, const char *name)
{
    unsigned slot = 0;
    for (const char *at = name; *at; at++) slot = slot * 31 + (unsigned char)*at;
    for (slot %= HONE_VARS_SLOTS; vars->slots[slot]; slot = (slot + 1) % HONE_VARS_SLOTS)
        if (!strcmp(vars->at[vars->slots[slot] - 1].name, name)) break;
    return slot;
}

void hone_vars_set(hone_vars *vars, const char *name, int64_t value)
{
    unsigned slot = slot_of(vars, name);
    if (!vars->slots[slot]) {
        HONE_ASSERT(vars->n < HONE_VARS_MAX && strlen(name) < sizeof vars->at[0].name);
        strcpy(vars->at[vars->n].name, name);
        vars->slots[slot] = (unsigned char)++vars->n;
    }
    vars->at[vars->slots[slot] - 1].value = value;
}

bool hone_vars_find(const hone_vars *vars, const char *name, int64_t *value)
{
    int k = vars->slots[slot_of(vars, name)];
    if (k) *value = vars->at[k - 1].value;
    return k;
}

int64_t hone_vars_get(const hone_vars *vars, const char *name)
{
    int64_t value = 0;
    bool is_there = hone_vars_find(vars, name, &value);
    HONE_ASSERT(is_there);
    return value;
}

// ---- the grammar

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

static bool take(reader *r, char wanted)
{
    hone_scan_blanks(&r->scan);
    return !r->failed && hone_scan_char(&r->scan, wanted);
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
    int64_t a = ternary(r), b = take(r, ',') ? ternary(r) : 0;
    if (!take(r, ')')) return fail_syntax(r);
    return apply(r, name, a, b);
}

static int64_t primary(reader *r)
{
    char name[32];
    int64_t value;
    hone_scan_blanks(&r->scan);
    if (r->failed || ++r->depth > DEPTH_MAX) return fail_syntax(r);
    if (take(r, '(')) {
        value = ternary(r);
        if (!take(r, ')')) return fail_syntax(r);
    } else if (take(r, '!')) {
        value = !primary(r);
    } else if (hone_scan_int(&r->scan, &value)) {
    } else if (take(r, '-')) {
        value = minus(0, primary(r));
    } else if (!hone_scan_word(&r->scan, name, sizeof name)) {
        return fail_syntax(r);
    } else if (take(r, '(')) {
        value = call(r, name);
    } else if (!hone_vars_find(r->vars, name, &value)) {
        return fail(r, "unknown name ", name);
    }
    r->depth--;
    return value;
}

enum { NONE, OR, AND, COMPARE, SUM, PRODUCT };      // levels of precedence

typedef struct operator {
    int level, size;
    char first;
} operator;

// The operator ahead, NONE where there is none; it is not taken.
static operator look(reader *r)
{
    static const unsigned char levels[128] = {
        ['|'] = OR, ['&'] = AND, ['='] = COMPARE, ['!'] = COMPARE, ['<'] = COMPARE, ['>'] = COMPARE, ['+'] = SUM, ['-'] = SUM,
        ['*'] = PRODUCT, ['/'] = PRODUCT, ['%'] = PRODUCT,
    };
    hone_scan_blanks(&r->scan);
    const char first = r->scan.at[0], wanted = first == '|' || first == '&' ? first : '=';
    const int level = r->failed || first < 0 ? NONE : levels[(int)first];
    const bool is_long = level && level <= COMPARE && r->scan.at[1] == wanted, must = level && level <= COMPARE && first != '<' && first != '>';
    return (operator){must && !is_long ? NONE : level, 1 + is_long, first};
}

static int64_t combine(reader *r, operator op, int64_t a, int64_t b)
{
    switch (op.first) {
    case '|': return a || b;
    case '&': return a && b;
    case '=': return a == b;
    case '!': return a != b;
    case '<': return op.size == 2 ? a <= b : a < b;
    case '>': return op.size == 2 ? a >= b : a > b;
    case '+': return plus(a, b);
    case '-': return minus(a, b);
    case '*': return times(a, b);
    default: return divide(r, a, b, op.first);
    }
}

// Operators from level `least` on, each side's own bind closer.
static int64_t binary(reader *r, int least)
{
    int64_t a = primary(r);
    for (operator op = look(r); op.level && op.level >= least; op = look(r)) {
        r->scan.at += op.size;
        const bool is_idle = op.level == OR ? a != 0 : op.level == AND && !a;
        r->idle += is_idle;
        int64_t b = binary(r, op.level + 1);
        r->idle -= is_idle;
        a = combine(r, op, a, b);
    }
    return a;
}

static int64_t ternary(reader *r)
{
    int64_t c = binary(r, OR);
    if (!take(r, '?')) return c;
    r->idle += !c;
    int64_t a = ternary(r);
    r->idle -= !c;
    if (!take(r, ':')) return fail_syntax(r);
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
