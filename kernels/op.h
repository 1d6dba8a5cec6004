// SPDX-License-Identifier: Apache-2.0
// An op is a const table entry: everything hone knows of it stands in its descriptor. Families share files
// (kernels/op_*.c); kernels/ops.c is the table. Adding an op: its descriptor, one table line, a case file.
#ifndef HONE_KERNELS_OP_H
#define HONE_KERNELS_OP_H

#include "kernels/tensor.h"

#define HONE_INPUTS_MAX 16
#define HONE_OUTPUTS_MAX 4
#define HONE_ATTRS_MAX 10
#define HONE_ATTR_LIST 16

typedef enum hone_attr_kind {
    HONE_ATTR_INT,        // one integer
    HONE_ATTR_INTS,       // a list: shape=1,64
    HONE_ATTR_SPREAD,     // one integer for all axes, or one for each: pad=1 or pad=0,1,0,1. Canonical: one when all are equal
    HONE_ATTR_REAL,
    HONE_ATTR_REALS,
    HONE_ATTR_WORD,       // one of `words`; stored as its index
    HONE_ATTR_DTYPE       // stored as hone_dtype
} hone_attr_kind;

typedef struct hone_attr_spec {
    const char *name;
    hone_attr_kind kind;
    const char *words;        // WORD: "constant reflect edge"
    const char *fallback;     // the default as it would be spelled; NULL = must be given
} hone_attr_spec;

typedef struct hone_attr {
    int n;                    // entries; 1 for single kinds
    union {
        int64_t i[HONE_ATTR_LIST];
        double r[HONE_ATTR_LIST];
    };
} hone_attr;

struct hone_op;

// An op with its attributes, not yet bound to operands. attrs[k] belongs to op->attrs[k].
typedef struct hone_call {
    const struct hone_op *op;
    int n_in;                 // operands given, absent optional ones in between counted
    int n_out;                // outputs asked for, 1..op->outputs; hone_call_init says 1
    hone_attr attrs[HONE_ATTRS_MAX];
} hone_call;

typedef struct hone_scalar {  // one element: f for float types, i for integers and bool
    double f;
    int64_t i;
} hone_scalar;

typedef enum hone_op_kind {
    HONE_OP_ELEMENTWISE,      // out[i] = f(in[i]...), with NumPy broadcasting; may stand in the tail of any problem
    HONE_OP_REDUCE,           // along axes
    HONE_OP_MOVE,             // values only change places (transpose, slice, concat, gather, pad, resize by nearest...)
    HONE_OP_VIEW,             // same bytes, other dims (reshape)
    HONE_OP_POOL,
    HONE_OP_NORM,             // softmax, layer norm...
    HONE_OP_MATMUL,
    HONE_OP_CONV,
    HONE_OP_OTHER
} hone_op_kind;

// How random values for an operand are drawn in verification, so that the op is well defined on them.
typedef enum hone_domain {
    HONE_DOMAIN_NORMAL,       // standard normal; integers: -8..8 (unsigned 0..8); bool: 0 or 1
    HONE_DOMAIN_POSITIVE,     // 0.5 .. 2
    HONE_DOMAIN_UNIT,         // -0.9 .. 0.9
    HONE_DOMAIN_WEIGHT,       // normal, scaled by 1/sqrt(terms of one output), so that outputs are near 1
    HONE_DOMAIN_INDEX,        // 0 .. bound-1, the bound from op->index_bound
    HONE_DOMAIN_ABOVE_ONE     // 1.1 .. 3
} hone_domain;

typedef struct hone_op {
    const char *name;
    hone_op_kind kind;
    const char *inputs;              // operand names: "x w b?"; '?' optional, "x*" any number (one or more, named x0, x1, ...)
    const char *domains;             // one letter an operand, n p u w i a; the last repeats; NULL: all n
    const char *types;               // one letter an operand: f float, i integer or bool, . any (the shape rule looks); NULL: all .
    const hone_attr_spec *attrs;
    int n_attrs;
    int outputs;                     // most outputs; a call may ask for fewer
    // Output element types and dims (layout ROW) from the inputs; in[k] NULL when absent. May complete attributes
    // that have a canonical explicit form (negative axes, -1 in a reshape). HONE_USAGE says what does not fit. Fills
    // call->n_out entries of out.
    hone_status (*shape)(hone_call *call, const hone_tensor *const *in, hone_tensor *out);
    // Plain C in double precision; arrays are row-major. in[k].tensor.dtype is NONE when absent. out has call->n_out arrays,
    // initialised (shaped by the shape rule, zeroed) by hone_call_reference, which also wraps integer results to their type.
    // Elementwise ops leave it NULL and give `scalar`.
    hone_status (*reference)(const hone_call *call, const hone_array *in, hone_array *out, int threads);
    // in_dtype: of the last operand. Integer operands have f = (double)i too; of the result, the field of its type counts.
    hone_scalar (*scalar)(const hone_call *call, const hone_scalar *x, hone_dtype in_dtype);
    // Single outputs of a large problem at flat row-major indices; NULL when not offered.
    hone_status (*reference_at)(const hone_call *call, const hone_array *in, const int64_t *index, int64_t n, double *out, int threads);
    double (*flops)(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out);   // NULL: one per output element, none when values only move
    int64_t (*index_bound)(const hone_call *call, const hone_tensor *const *in);
    // CUDA C of an elementwise op, for float (`expr`) and for long long (`expr_int`, NULL = same text as expr if expr is not NULL and contains no call).
    // a, b, c are the operands by position; {name} is replaced by attribute `name` as a literal (float literals; a word by its
    // index), see hone_call_expr. NULL: no device text, the reference stands in.
    // A float result that goes to an integer type is truncated toward zero, to bool it is compared with 0.
    const char *expr;
    const char *expr_int;
    const char *expr_16;             // in the place of expr where the result is rounded to 16 bits: cheaper, may call what cuda/quick.cuh has. NULL: expr
    double tolerance;                // factor on the type's tolerance; 0 means 1
    // ONNX: "Relu", or "Clip x @min @max" = operands by position, @name = a constant operand that becomes attribute `name` (or, in
    // older opsets, an attribute that has that name), "-" = an operand that is dropped; then attributes whose names differ,
    // theirs=ours ("Concat x* axis=axis"), and what a line sets by itself, ours:value ("ReduceSum x @axes keepdims=keep kind:sum").
    // Attributes of the same name need no word; words match whatever their case. NULL: only made by import rules.
    // Several lines, '\n' between, when several ONNX ops become this one.
    const char *onnx;
} hone_op;

extern const hone_op *const hone_ops[];
extern const int hone_op_count;

const hone_op *hone_op_find(const char *name);                           // NULL if unknown
int hone_op_attr_index(const hone_op *op, const char *name);             // -1 if none
int hone_op_input_count(const hone_op *op, int *required);               // most operands (HONE_INPUTS_MAX when variadic)
void hone_op_input_name(const hone_op *op, int k, char *name, size_t capacity);
hone_domain hone_op_domain(const hone_op *op, int k);

hone_status hone_call_init(hone_call *call, const char *op_name, int n_in);   // all defaults; required attributes have n = -1
hone_status hone_call_set_ints(hone_call *call, const char *attr, const int64_t *values, int n);   // collapses SPREAD
// A value that is exactly a float is kept as the double of its shortest text: 1e-5f becomes 1e-5.
hone_status hone_call_set_real(hone_call *call, const char *attr, double value);
hone_status hone_call_set_reals(hone_call *call, const char *attr, const double *values, int n);
hone_status hone_call_set_word(hone_call *call, const char *attr, const char *word);
// One attribute from its text in a spelling, and back ("" for an empty list).
hone_status hone_call_set_text(hone_call *call, const char *attr, const char *value);
void hone_call_print_attr(const hone_call *call, int attr, hone_text *text);
bool hone_call_attr_is_default(const hone_call *call, int attr);
// The device text of an elementwise call with its attributes put in: float form, or the integer form. HONE_DECLINED if it has none.
hone_status hone_call_expr(const hone_call *call, bool integer, hone_text *text);
// Runs the shape rule after checking operand counts and required attributes.
hone_status hone_call_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out);
hone_status hone_call_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads);   // out initialised by the callee

// Borrowed attribute access; name must exist (assertion).
int64_t hone_call_int(const hone_call *call, const char *attr);
int64_t hone_call_int_at(const hone_call *call, const char *attr, int k);   // SPREAD: the one value for every k
int hone_call_list(const hone_call *call, const char *attr, const int64_t **values);
double hone_call_real(const hone_call *call, const char *attr);
const char *hone_call_word(const hone_call *call, const char *attr);       // points into a static copy of the word

#endif
