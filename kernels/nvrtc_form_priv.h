// SPDX-License-Identifier: Apache-2.0
// A form is a kind of problem that CUDA kernels are written for: "matmul", "conv", "rows"... Making one recognises the problem, names its
// sizes as variables for the kernels' heads, and splits it into head, main step and tail. Plain data, borrows the problem.
#ifndef HONE_KERNELS_NVRTC_FORM_PRIV_H
#define HONE_KERNELS_NVRTC_FORM_PRIV_H

#include "kernels/nvrtc_expr_priv.h"
#include "kernels/nvrtc_region_priv.h"
#include "kernels/source.h"

typedef struct hone_formed {
    const hone_problem *problem;
    int main;                          // the step that is not elementwise; -1: none
    hone_dtype dtype;                  // of the main step's first operand (NONE: none counts)
    hone_vars vars;
    bool has_tail, has_head, has_middle;
    hone_region tail, head, middle;    // middle: between two main steps
    int n_reals;
    struct { char name[16]; double value; } reals[HONE_ARGS_REALS];
    int n_types;
    struct { char name[16]; hone_dtype dtype; } types[8];      // macros for element types: SCALE_T
} hone_formed;

typedef struct hone_form {
    const char *name;
    hone_status (*make)(const hone_problem *problem, hone_formed *formed);     // HONE_DECLINED: not of this form
    bool has_more;                     // than one main step, and finds them itself
} hone_form;

extern const hone_form hone_forms[];
extern const int hone_form_count;

// Makes the form `name` and adds the variables that all have: sms, cc, smem_max, osize, vec_max...
hone_status hone_form_make(const char *name, const hone_problem *problem, const hone_target *target, hone_formed *formed);

// ---- for the files of forms

hone_status hone_form_find_main(const hone_problem *problem, int *main);       // the one step that is neither elementwise nor in strides; -1 if none
// Tail behind the main step over the last step's shape; cols_axes inner physical axes are columns.
hone_status hone_form_add_tail(hone_formed *formed, int cols_axes);
// Head that makes the main step's operand 0. Its domain has in[0]'s dims in layout.
hone_status hone_form_add_head(hone_formed *formed, hone_layout layout, int cols_axes);
void hone_form_set_real(hone_formed *formed, const char *name, double value);
void hone_form_set_type(hone_formed *formed, const char *name, hone_dtype dtype);
// The external operand behind input k of the main step; HONE_DECLINED when it is computed. -1 when absent.
hone_status hone_form_operand(const hone_formed *formed, int k, int *operand);
const hone_tensor *hone_form_input(const hone_formed *formed, int k);          // NULL when absent
int64_t hone_form_access_width(int64_t pitch, hone_dtype dtype);               // elements of one access of at most 16 bytes to rows of `pitch`
// Both sides of a product must be operands of one type; their numbers become in_a and in_b.
hone_status hone_form_set_sides(hone_formed *formed);
// A norm's scale or shift, input k of the main step: the operand's number as a variable (-1: absent) and its type as a macro.
hone_status hone_form_add_scale(hone_formed *formed, int k, const char *number, const char *type);
hone_layout hone_form_head_layout(const hone_formed *formed);                  // layout of the first operand that has in[0]'s dims

hone_status hone_form_elementwise(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_transpose(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_matmul(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_conv(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_pool(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_depthwise(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_direct(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_planes(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_stem(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_deconv(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_normed(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_ended(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_squeeze(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_concat(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_gather(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_map(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_attention(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_rows(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_lines(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_reduce_rows(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_reduce_cols(const hone_problem *problem, hone_formed *formed);
hone_status hone_form_reduce_any(const hone_problem *problem, hone_formed *formed);

#endif
