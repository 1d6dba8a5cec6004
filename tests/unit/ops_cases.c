// SPDX-License-Identifier: Apache-2.0
// Runs tests/cases/ops/*.txt. A blank line parts the cases; the first character of a line says what it is:
//   (a problem)   parsed, printed back and computed by the reference
//   < values      the next operand         > values     the next expected output (|difference| <= 3e-6 * (1 + |value|))
//   ? problem     prints as the "=" line   ! problem    is refused, with a sentence that holds the "~" line
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "kernels/problem.h"

#define FOLDER "tests/cases/ops"

enum { OPS_MOST = 256 };

// Where a case stands and what was made of it so far.
typedef struct reading {
    const char *file;
    int line;
    hone_problem problem;
    hone_array in[HONE_OPERANDS_MAX], out[HONE_OUTPUTS_MAX];
    int n_in, n_out;
    bool is_open, is_refused;
    char printed[1024], sentence[2048];
} reading;

static bool is_covered[OPS_MOST];

static void wrong(const reading *r, const char *what, const char *text)
{
    fail_msg("%s:%d: %s: %s", r->file, r->line, what, text);
}

static void scan_values(const reading *r, const char *text, hone_array *array)
{
    char word[64];
    hone_scan scan = {text};
    int64_t k = 0, count = hone_tensor_count(&array->tensor);
    for (hone_scan_blanks(&scan); hone_scan_token(&scan, word, sizeof word); hone_scan_blanks(&scan), k++) {
        if (k == count) wrong(r, "too many values", text);
        if (array->f) array->f[k] = strtod(word, NULL);
        else array->i[k] = *word == '-' ? strtoll(word, NULL, 10) : (int64_t)strtoull(word, NULL, 10);
    }
    if (k != count) wrong(r, "too few values", text);
}

static void open_problem(reading *r, const char *text)
{
    hone_text again;
    hone_text_init(&again);
    if (hone_problem_parse(text, &r->problem) != HONE_OK) wrong(r, "not parsed", hone_error_text());
    hone_problem_print(&r->problem, &again);
    snprintf(r->printed, sizeof r->printed, "%s", hone_text_get(&again));
    hone_text_clear(&again);
    for (int s = 0; s < r->problem.n_steps; s++)
        for (int k = 0; k < hone_op_count; k++)
            if (hone_ops[k] == r->problem.steps[s].call.op) is_covered[k] = true;
}

static void begin_case(reading *r, const char *text)
{
    open_problem(r, text);
    if (strcmp(r->printed, text)) wrong(r, "not canonical, prints as", r->printed);
    r->is_open = true;
}

static void take_operand(reading *r, const char *text)
{
    if (!r->is_open || r->n_in == r->problem.n_operands) wrong(r, "no operand left for", text);
    assert_int_equal(hone_array_init(&r->in[r->n_in], &r->problem.operands[r->n_in]), HONE_OK);
    scan_values(r, text, &r->in[r->n_in++]);
}

static bool is_near(double value, double wanted)
{
    if (isnan(wanted)) return isnan(value);
    return value == wanted || fabs(value - wanted) <= 3e-6 * (1 + fabs(wanted));
}

static void compare(const reading *r, const hone_array *got, const hone_array *wanted)
{
    char line[128];
    for (int64_t k = 0; k < hone_tensor_count(&wanted->tensor); k++) {
        bool fits = wanted->f ? is_near(got->f[k], wanted->f[k]) : got->i[k] == wanted->i[k];
        if (fits) continue;
        if (wanted->f) snprintf(line, sizeof line, "element %lld is %.9g, not %.9g", (long long)k, got->f[k], wanted->f[k]);
        else snprintf(line, sizeof line, "element %lld is %lld, not %lld", (long long)k, (long long)got->i[k], (long long)wanted->i[k]);
        wrong(r, r->printed, line);
    }
}

// Single values must agree with the whole, where an op offers them.
static void compare_single(const reading *r)
{
    int64_t index[3], count = hone_tensor_count(&r->out[0].tensor);
    double values[3];
    if (!count) return;
    index[0] = count - 1, index[1] = 0, index[2] = count / 2;
    if (hone_problem_reference_at(&r->problem, r->in, index, 3, values, 1) == HONE_DECLINED) return;
    for (int k = 0; k < 3; k++) {
        double whole = r->out[0].f ? r->out[0].f[index[k]] : (double)r->out[0].i[index[k]];
        if (!is_near(values[k], whole)) wrong(r, "a single value is off", r->printed);
    }
}

static void take_output(reading *r, const char *text)
{
    hone_array wanted;
    if (!r->is_open || r->n_in != r->problem.n_operands) wrong(r, "operands are missing before", text);
    if (!r->n_out) {
        if (hone_problem_reference(&r->problem, r->in, r->out, 2) != HONE_OK) wrong(r, "no reference", hone_error_text());
        compare_single(r);
    }
    if (r->n_out == r->problem.n_out) wrong(r, "more outputs than the problem has", text);
    assert_int_equal(hone_array_init(&wanted, &r->problem.out[r->n_out]), HONE_OK);
    scan_values(r, text, &wanted);
    compare(r, &r->out[r->n_out++], &wanted);
    hone_array_clear(&wanted);
}

static void expect_refusal(reading *r, const char *text)
{
    if (hone_problem_parse(text, &r->problem) != HONE_USAGE) wrong(r, "not refused", text);
    snprintf(r->sentence, sizeof r->sentence, "%s", hone_error_text());
    r->is_refused = true;
}

static void expect_sentence(reading *r, const char *text)
{
    if (!r->is_refused || !strstr(r->sentence, text)) wrong(r, "another sentence", r->sentence);
}

static void expect_printed(reading *r, const char *text)
{
    if (strcmp(r->printed, text)) wrong(r, "prints as", r->printed);
    open_problem(r, text);
    if (strcmp(r->printed, text)) wrong(r, "the canonical form is not its own", r->printed);
}

static void end_case(reading *r)
{
    if (r->is_open && r->n_out != r->problem.n_out) wrong(r, "outputs are missing", r->printed);
    for (int k = 0; k < HONE_OPERANDS_MAX; k++) hone_array_clear(&r->in[k]);
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_array_clear(&r->out[k]);
    r->n_in = r->n_out = 0;
    r->is_open = r->is_refused = false;
}

static void take_line(reading *r, const char *line)
{
    static const struct { char mark; void (*take)(reading *r, const char *text); } takers[] = {
        {'<', take_operand}, {'>', take_output}, {'?', open_problem}, {'=', expect_printed}, {'!', expect_refusal}, {'~', expect_sentence},
    };
    if (!*line) end_case(r);
    if (!*line || *line == '#') return;
    for (size_t k = 0; k < sizeof takers / sizeof *takers; k++)
        if (takers[k].mark == *line) {
            takers[k].take(r, line[1] ? line + 2 : "");
            return;
        }
    begin_case(r, line);
}

static hone_status run_file(void *user, const char *name)
{
    int *files = user;
    char path[512], *data, *rest;
    size_t size;
    reading *r = calloc(1, sizeof *r);
    snprintf(path, sizeof path, FOLDER "/%s", name);
    assert_int_equal(hone_file_read(path, 1 << 22, &data, &size), HONE_OK);
    r->file = name;
    rest = data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        r->line++;
        take_line(r, line);
    }
    end_case(r);
    hone_free(data);
    free(r);
    ++*files;
    return HONE_OK;
}

static void cases(void **state)
{
    int files = 0;
    (void)state;
    assert_int_equal(hone_folder_each(FOLDER, run_file, &files), HONE_OK);
    assert_true(files > 0);
}

static void every_op_has_a_case(void **state)
{
    int missing = 0;
    (void)state;
    for (int k = 0; k < hone_op_count; k++) {
        if (is_covered[k]) continue;
        missing++;
        print_message("no case for op %s\n", hone_ops[k]->name);
    }
    assert_int_equal(missing, 0);
}

int test_ops_cases(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases), cmocka_unit_test(every_op_has_a_case)};
    return cmocka_run_group_tests_name("ops_cases", tests, NULL, NULL);
}
