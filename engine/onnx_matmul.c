// SPDX-License-Identifier: Apache-2.0
// Matrix products: Gemm, Einsum of one or two operands, Attention of opset 23.
#include <math.h>
#include <string.h>

#include "engine/onnx_rules_priv.h"

static hone_status scale(onnx_import *im, int x, double factor, int *out)
{
    int number;
    if (factor == 1) return *out = x, HONE_OK;
    hone_status status = onnx_make_scalar(im, onnx_tensor_of(im, x).dtype, factor, &number);
    return status == HONE_OK ? onnx_emit_binary(im, "mul", x, number, out) : status;
}

static hone_status matmul(onnx_import *im, int a, int b, bool trans_a, bool trans_b, int *out)
{
    hone_call call;
    hone_status status;
    HONE_TRY(hone_call_init(&call, "matmul", 2));
    HONE_TRY(hone_call_set_ints(&call, "trans_a", &(int64_t){trans_a}, 1));
    HONE_TRY(hone_call_set_ints(&call, "trans_b", &(int64_t){trans_b}, 1));
    HONE_TRY(onnx_emit(im, &call, (int[]){a, b}, out));
out:
    return status;
}

static hone_status gemm(onnx_import *im, const int *in, int n_in, int *out)
{
    double alpha = onnx_real(im, "alpha", 1), beta = onnx_real(im, "beta", 1);
    int c, y;
    hone_status status;
    if (onnx_tensor_of(im, in[0]).rank != 2 || onnx_tensor_of(im, in[1]).rank != 2) return hone_fail(HONE_MODEL, "the operands must be matrices");
    HONE_TRY(matmul(im, in[0], in[1], onnx_int(im, "transA", 0) != 0, onnx_int(im, "transB", 0) != 0, &y));
    HONE_TRY(scale(im, y, alpha, &y));
    if (onnx_given(in, n_in, 2) && beta != 0) {
        HONE_TRY(scale(im, in[2], beta, &c));
        HONE_TRY(onnx_emit_binary(im, "add", y, c, &y));
    }
    *out = y;
out:
    return status;
}

// ---- Einsum. Each axis has a letter; the letters of an ellipsis are made up ('0', '1', ... from the right).

enum { LETTERS_MAX = 2 * HONE_RANK_MAX };

typedef struct term {
    char letters[LETTERS_MAX + 1];
    int n;
} term;

static hone_status read_term(const char **at, int rank, term *t)
{
    int plain = 0;
    bool ellipsis = false;
    *t = (term){.n = 0};
    for (const char *c = *at; *c && *c != ',' && *c != '-'; c++) plain += (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
    for (; **at && **at != ',' && **at != '-'; ++*at) {
        char c = **at;
        if (c == ' ') continue;
        int n = c == '.' ? rank - plain : 1;
        if (c == '.' && (strncmp(*at, "...", 3) || ellipsis || n < 0)) return hone_fail(HONE_MODEL, "the equation's ellipsis does not fit");
        if (c != '.' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')) return hone_fail(HONE_MODEL, "the equation holds '%c'", c);
        if (t->n + n > HONE_RANK_MAX) return hone_fail(HONE_MODEL, "the equation names too many axes");
        for (int k = 0; k < n; k++) t->letters[t->n++] = c == '.' ? (char)('0' + n - 1 - k) : c;
        if (c == '.') *at += 2;
        ellipsis = ellipsis || c == '.';
    }
    return rank < 0 || t->n == rank ? HONE_OK : hone_fail(HONE_MODEL, "the equation names %d axes of an operand that has %d", t->n, rank);
}

static int find(const term *t, char letter)
{
    const char *at = strchr(t->letters, letter);
    return at ? (int)(at - t->letters) : -1;
}

// Without "->": letters that stand once, in order, behind the ellipsis's.
static void implied_output(const term *in, int n, term *out)
{
    int counts[128] = {0};
    *out = (term){.n = 0};
    for (int k = 0; k < n; k++)
        for (int j = 0; j < in[k].n; j++) counts[(int)in[k].letters[j]]++;
    for (int c = '9'; c >= '0'; c--)
        if (counts[c] && out->n < HONE_RANK_MAX) out->letters[out->n++] = (char)c;
    for (int c = 'A'; c <= 'z'; c++)
        if (counts[c] == 1 && out->n < HONE_RANK_MAX) out->letters[out->n++] = (char)c;
}

static hone_status read_equation(onnx_import *im, const int *in, int n_in, term *terms, term *out)
{
    const char *at = onnx_word(im, "equation", "");
    hone_status status;
    for (int k = 0; k < n_in; k++) {
        HONE_TRY(read_term(&at, onnx_tensor_of(im, in[k]).rank, &terms[k]));
        if (k + 1 < n_in && *at++ != ',') return hone_fail(HONE_MODEL, "the equation has fewer terms than operands");
    }
    if (!*at) return implied_output(terms, n_in, out), HONE_OK;
    if (at[0] != '-' || at[1] != '>') return hone_fail(HONE_MODEL, "the equation has more terms than operands");
    at += 2;
    int dots = 0, most = 0;
    for (int k = 0; k < n_in; k++, dots = 0) {
        for (int j = 0; j < terms[k].n; j++) dots += terms[k].letters[j] >= '0' && terms[k].letters[j] <= '9';
        most = dots > most ? dots : most;
    }
    int letters = 0;
    for (const char *c = at; *c; c++) letters += (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
    HONE_TRY(read_term(&at, strchr(at, '.') ? letters + most : letters, out));
out:
    return status;
}

static hone_status permute(onnx_import *im, int *x, term *t, const char *order)
{
    int64_t perm[HONE_RANK_MAX];
    for (int k = 0; k < t->n; k++) perm[k] = find(t, order[k]);
    memmove(t->letters, order, (size_t)t->n);
    return onnx_emit_transpose(im, *x, perm, x);
}

// A letter twice in one operand: its diagonal. The two axes go last, are flattened, and every (n+1)th entry is taken.
static hone_status take_diagonals(onnx_import *im, int *x, term *t)
{
    hone_status status = HONE_OK;
    for (int a = 0; a < t->n; a++) {
        const char *again = strchr(t->letters + a + 1, t->letters[a]);
        if (!again) continue;
        int b = (int)(again - t->letters), m = 0;
        hone_tensor s = onnx_tensor_of(im, *x);
        int64_t perm[HONE_RANK_MAX], n = s.dims[a], start[HONE_RANK_MAX] = {0}, size[HONE_RANK_MAX], step[HONE_RANK_MAX];
        char letter = t->letters[a];
        if (s.dims[b] != n) return hone_fail(HONE_MODEL, "axis %c has two extents", letter);
        for (int k = 0; k < t->n; k++)
            if (k != a && k != b) perm[m++] = k;
        perm[m] = a, perm[m + 1] = b;
        for (int k = 0; k < m; k++) t->letters[k] = t->letters[perm[k]], size[k] = s.dims[perm[k]], step[k] = 1;
        t->letters[m] = letter;
        t->n = m + 1;
        t->letters[t->n] = 0;
        HONE_TRY(onnx_emit_transpose(im, *x, perm, x));
        size[m] = n * n;
        HONE_TRY(onnx_emit_reshape(im, *x, m + 1, size, x));
        size[m] = n;
        step[m] = n > 1 ? n + 1 : 1;
        HONE_TRY(onnx_emit_slice(im, *x, start, size, step, x));
        a = -1;                            // the letters moved: look again from the first
    }
out:
    return status;
}

// Sums over the letters that neither the other operand nor the output has.
static hone_status sum_rest(onnx_import *im, int *x, term *t, const term *other, const term *out)
{
    int64_t axes[HONE_RANK_MAX];
    int n = 0, kept = 0;
    for (int k = 0; k < t->n; k++) {
        bool rest = find(out, t->letters[k]) < 0 && (!other || find(other, t->letters[k]) < 0);
        if (rest) axes[n++] = k;
        else t->letters[kept++] = t->letters[k];
    }
    t->n = kept;
    t->letters[kept] = 0;
    return n ? onnx_emit_reduce(im, "sum", *x, n, axes, false, x) : HONE_OK;
}

typedef struct classes {               // letters of a product, by what happens to them
    char batch[LETTERS_MAX + 1], left[LETTERS_MAX + 1], right[LETTERS_MAX + 1], inner[LETTERS_MAX + 1];
} classes;

static void sort_letters(const term *a, const term *b, const term *out, classes *c)
{
    *c = (classes){.batch = ""};
    for (int k = 0; k < a->n; k++) {
        char letter[2] = {a->letters[k], 0};
        bool in_b = find(b, letter[0]) >= 0, in_out = find(out, letter[0]) >= 0;
        strcat(in_b && in_out ? c->batch : in_b ? c->inner : c->left, letter);
    }
    for (int k = 0; k < b->n; k++)
        if (find(a, b->letters[k]) < 0) strcat(c->right, (char[2]){b->letters[k], 0});
}

static int64_t extent(const hone_tensor *s, int from, int n)
{
    int64_t product = 1;
    for (int k = from; k < from + n; k++) product *= s->dims[k];
    return product;
}

// Operands in the order batch, free, inner (left) and batch, inner, free (right), flattened to one matrix product.
static hone_status product(onnx_import *im, int a, term *ta, int b, term *tb, const term *out, int *y)
{
    classes c;
    char order_a[LETTERS_MAX + 1], order_b[LETTERS_MAX + 1], order_y[2 * LETTERS_MAX + 1];
    hone_status status;
    sort_letters(ta, tb, out, &c);
    int nb = (int)strlen(c.batch), nl = (int)strlen(c.left), nr = (int)strlen(c.right), ni = (int)strlen(c.inner);
    strcat(strcat(strcpy(order_a, c.batch), c.left), c.inner);
    strcat(strcat(strcpy(order_b, c.batch), c.inner), c.right);
    strcat(strcat(strcpy(order_y, c.batch), c.left), c.right);
    HONE_TRY(permute(im, &a, ta, order_a));
    HONE_TRY(permute(im, &b, tb, order_b));
    hone_tensor sa = onnx_tensor_of(im, a), sb = onnx_tensor_of(im, b);
    for (int k = 0; k < nb; k++)
        if (sa.dims[k] != sb.dims[k]) return hone_fail(HONE_MODEL, "axis %c has two extents", c.batch[k]);
    for (int k = 0; k < ni; k++)
        if (sa.dims[nb + nl + k] != sb.dims[nb + k]) return hone_fail(HONE_MODEL, "axis %c has two extents", c.inner[k]);
    int64_t da[3] = {extent(&sa, 0, nb), extent(&sa, nb, nl), extent(&sa, nb + nl, ni)};
    int64_t db[3] = {extent(&sb, 0, nb), extent(&sb, nb, ni), extent(&sb, nb + ni, nr)};
    int64_t dy[2 * HONE_RANK_MAX], perm[HONE_RANK_MAX];
    if (nb + nl + nr > HONE_RANK_MAX) return hone_fail(HONE_MODEL, "the result has too many axes");
    HONE_TRY(onnx_emit_reshape(im, a, 3, da, &a));
    HONE_TRY(onnx_emit_reshape(im, b, 3, db, &b));
    HONE_TRY(matmul(im, a, b, false, false, y));
    memcpy(dy, sa.dims, (size_t)(nb + nl) * sizeof *dy);
    memcpy(dy + nb + nl, sb.dims + nb + ni, (size_t)nr * sizeof *dy);
    HONE_TRY(onnx_emit_reshape(im, *y, nb + nl + nr, dy, y));
    for (int k = 0; k < out->n; k++) perm[k] = strchr(order_y, out->letters[k]) - order_y;
    HONE_TRY(onnx_emit_transpose(im, *y, perm, y));
out:
    return status;
}

static hone_status check_output(const term *terms, int n, const term *out)
{
    for (int k = 0; k < out->n; k++) {
        bool found = false;
        for (int j = 0; j < n; j++) found = found || find(&terms[j], out->letters[k]) >= 0;
        if (!found || strchr(out->letters + k + 1, out->letters[k])) return hone_fail(HONE_MODEL, "the equation's output does not fit");
    }
    return HONE_OK;
}

static hone_status einsum(onnx_import *im, const int *in, int n_in, int *out)
{
    term terms[2], to;
    int x[2] = {in[0], n_in > 1 ? in[1] : -1};
    hone_status status;
    HONE_TRY(read_equation(im, in, n_in, terms, &to));
    HONE_TRY(check_output(terms, n_in, &to));
    for (int k = 0; k < n_in; k++) HONE_TRY(take_diagonals(im, &x[k], &terms[k]));
    for (int k = 0; k < n_in; k++) HONE_TRY(sum_rest(im, &x[k], &terms[k], n_in > 1 ? &terms[1 - k] : NULL, &to));
    if (n_in > 1) return product(im, x[0], &terms[0], x[1], &terms[1], &to, out);
    HONE_TRY(permute(im, &x[0], &terms[0], to.letters));
    *out = x[0];
out:
    return status;
}

// ---- Attention of opset 23: products around a softmax, as older exporters write it, so that one rule serves both

typedef struct heads {
    int value;                 // [batch, heads, positions, depth]
    int64_t dims[4];
} heads;

// [batch, positions, heads * depth] is taken apart; rank 4 comes as it is.
static hone_status split_heads(onnx_import *im, int x, int64_t n_heads, heads *h)
{
    hone_tensor t = onnx_tensor_of(im, x);
    h->value = x;
    if (t.rank == 4) return memcpy(h->dims, t.dims, sizeof h->dims), HONE_OK;
    if (t.rank != 3 || n_heads < 1 || t.dims[2] % n_heads) return hone_fail(HONE_MODEL, "%lld heads do not fit an operand of %d dims", (long long)n_heads, t.rank);
    int64_t apart[4] = {t.dims[0], t.dims[1], n_heads, t.dims[2] / n_heads};
    h->dims[0] = apart[0], h->dims[1] = apart[2], h->dims[2] = apart[1], h->dims[3] = apart[3];
    hone_status status = onnx_emit_reshape(im, x, 4, apart, &h->value);
    return status == HONE_OK ? onnx_emit_transpose(im, h->value, (int64_t[]){0, 2, 1, 3}, &h->value) : status;
}

// Each head of keys or values serves several heads of queries.
static hone_status repeat_heads(onnx_import *im, int64_t n_heads, heads *h)
{
    hone_call call;
    hone_status status;
    if (n_heads == h->dims[1]) return HONE_OK;
    if (!h->dims[1] || n_heads % h->dims[1]) return hone_fail(HONE_MODEL, "%lld heads of queries, %lld of keys", (long long)n_heads, (long long)h->dims[1]);
    int64_t column[5] = {h->dims[0], h->dims[1], 1, h->dims[2], h->dims[3]}, wide[5] = {column[0], column[1], n_heads / h->dims[1], column[3], column[4]};
    HONE_TRY(onnx_emit_reshape(im, h->value, 5, column, &h->value));
    HONE_TRY(hone_call_init(&call, "expand", 1));
    HONE_TRY(hone_call_set_ints(&call, "shape", wide, 5));
    HONE_TRY(onnx_emit(im, &call, &h->value, &h->value));
    h->dims[1] = n_heads;
    HONE_TRY(onnx_emit_reshape(im, h->value, 4, h->dims, &h->value));
out:
    return status;
}

static hone_status add_flags(onnx_import *im, int flags, int *scores)
{
    int zero, never, bias;
    hone_dtype dtype = onnx_tensor_of(im, *scores).dtype;
    hone_status status;
    HONE_TRY(onnx_make_scalar(im, dtype, 0, &zero));
    HONE_TRY(onnx_make_scalar(im, dtype, -INFINITY, &never));
    HONE_TRY(onnx_emit_op(im, "where", 3, (int[]){flags, zero, never}, &bias));
    HONE_TRY(onnx_emit_binary(im, "add", *scores, bias, scores));
out:
    return status;
}

static hone_status add_causal(onnx_import *im, int64_t queries, int64_t keys, int *scores)
{
    hone_call call;
    int64_t dims[2] = {queries, keys};
    int yes, all;
    hone_status status;
    HONE_TRY(onnx_make_scalar(im, HONE_BOOL, 1, &yes));
    HONE_TRY(hone_call_init(&call, "expand", 1));
    HONE_TRY(hone_call_set_ints(&call, "shape", dims, 2));
    HONE_TRY(onnx_emit(im, &call, &yes, &all));
    HONE_TRY(hone_call_init(&call, "trilu", 1));
    HONE_TRY(hone_call_set_ints(&call, "upper", &(int64_t){0}, 1));
    HONE_TRY(onnx_emit(im, &call, &all, &all));
    HONE_TRY(add_flags(im, all, scores));
out:
    return status;
}

static hone_status attention(onnx_import *im, const int *in, int n_in, int *out)
{
    heads q, k, v;
    hone_call call;
    int t, y;
    int64_t q_heads = onnx_int(im, "q_num_heads", 0), kv_heads = onnx_int(im, "kv_num_heads", 0);
    onnx_ignore(im, "softmax_precision");
    onnx_ignore(im, "qk_matmul_output_mode");
    hone_status status;
    for (int j = 4; j < n_in; j++)
        if (in[j] >= 0) return hone_fail(HONE_MODEL, "past keys and values are not supported");
    if (onnx_real(im, "softcap", 0) != 0) return hone_fail(HONE_MODEL, "softcap is not supported");
    HONE_TRY(split_heads(im, in[0], q_heads, &q));
    HONE_TRY(split_heads(im, in[1], kv_heads, &k));
    HONE_TRY(split_heads(im, in[2], kv_heads, &v));
    HONE_TRY(repeat_heads(im, q.dims[1], &k));
    HONE_TRY(repeat_heads(im, q.dims[1], &v));
    HONE_TRY(onnx_emit_transpose(im, k.value, (int64_t[]){0, 1, 3, 2}, &t));
    HONE_TRY(matmul(im, q.value, t, false, false, &y));
    HONE_TRY(scale(im, y, onnx_real(im, "scale", 1 / sqrt((double)q.dims[3])), &y));
    if (onnx_given(in, n_in, 3) && onnx_tensor_of(im, in[3]).dtype == HONE_BOOL) HONE_TRY(add_flags(im, in[3], &y));
    else if (onnx_given(in, n_in, 3)) HONE_TRY(onnx_emit_binary(im, "add", y, in[3], &y));
    if (onnx_int(im, "is_causal", 0)) HONE_TRY(add_causal(im, q.dims[2], k.dims[2], &y));
    HONE_TRY(hone_call_init(&call, "softmax", 1));
    HONE_TRY(hone_call_set_ints(&call, "axis", &(int64_t){3}, 1));
    HONE_TRY(onnx_emit(im, &call, &y, &y));
    HONE_TRY(matmul(im, y, v.value, false, false, &y));
    if (onnx_tensor_of(im, in[0]).rank == 3) {
        HONE_TRY(onnx_emit_transpose(im, y, (int64_t[]){0, 2, 1, 3}, &y));
        HONE_TRY(onnx_emit_reshape(im, y, 3, (int64_t[]){q.dims[0], q.dims[2], q.dims[1] * v.dims[3]}, &y));
    }
    *out = y;
out:
    return status;
}

const onnx_rule onnx_rules_matmul[] = {
    {"Gemm", 0, 0, 2, 3, 1, gemm, NULL},
    {"Einsum", 0, 0, 1, 2, 1, einsum, NULL},
    {"Attention", 0, 0, 3, 7, 1, attention, NULL},
    {0},
};
