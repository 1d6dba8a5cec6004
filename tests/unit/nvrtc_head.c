// SPDX-License-Identifier: Apache-2.0
#include "kernels/nvrtc_head_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "kernels/nvrtc_form_priv.h"
#include "kernels/nvrtc_texts.h"
#include "tests/unit/unit.h"

static void reads_a_head(void **state)
{
    static const char text[] = "// essay\n//! kernel thing 3\n//! form matmul\n//! dtype f16 bf16\n//! arch 90a\n//! machine more.cuh\n//! param bm 16 32\n//! param on 0 1\n"
                               "//! require bm > 16 || on\n//! define BM bm\n//! arg M m\n//! real EPS epsilon\n//! grid ceil(m, bm); 2\n//! block bm * 2\n"
                               "//! shared 7\n//! macs 5\n//! map 0; k, 1, 64; m, k, bm\n//! image 1; 64; bm\nint code;\n";
    static hone_kernel_head head;
    (void)state;
    assert_int_equal(hone_kernel_head_parse("thing.cu", text, &head), HONE_OK);
    assert_string_equal(head.name, "thing");
    assert_int_equal(head.version, 3);
    assert_string_equal(head.dtypes, "f16 bf16");
    assert_int_equal(head.arch, 90);
    assert_true(head.is_arch_alone);
    assert_string_equal(head.machine, "more.cuh");
    assert_int_equal(head.n_params, 2);
    assert_int_equal(head.params[0].n, 2);
    assert_int_equal(head.params[0].values[1], 32);
    assert_string_equal(head.requires[0].text, "bm > 16 || on");
    assert_string_equal(head.defines[0].name, "BM");
    assert_string_equal(head.args[0].text, "m");
    assert_string_equal(head.reals[0].name, "EPS");
    assert_string_equal(head.grid[0].text, "ceil(m, bm)");
    assert_string_equal(head.grid[1].text, " 2");
    assert_string_equal(head.grid[2].text, "1");
    assert_string_equal(head.cluster.text, "1");
    assert_int_equal(head.n_maps, 2);
    assert_string_equal(head.maps[0].name, "map");
    assert_string_equal(head.maps[0].text, "0; k, 1, 64; m, k, bm");
    assert_string_equal(head.maps[1].name, "image");
    assert_ptr_equal(head.text, text);
}

static void refuses_bad_heads(void **state)
{
    static const struct { const char *text, *says; } cases[] = {
        {"int code;\n", "needs kernel, form, grid and block"},
        {"//! kernel thing\n", "thing.cu:1: a kernel needs a name and a version"},
        {"//! kernel a 1\n//! colour blue\n", "thing.cu:2: unknown word"},
        {"//! param\n", "unknown word"},
        {"//! param bm\n", "has no values"},
        {"//! param bm 1 x\n", "bad values"},
        {"//! define X\n", "a name and an expression"},
        {"//! map 0; m, 1, 64\n//! map 1; m, 1, 64\n//! image 2; 64; 64\n", "more than 2 such lines"},
        {"//! param a 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n", "bad values"},
    };
    static hone_kernel_head head;
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        assert_int_equal(hone_kernel_head_parse("thing.cu", cases[k].text, &head), HONE_INTERNAL);
        if (!strstr(hone_error_text(), cases[k].says)) fail_msg("\"%s\" does not say \"%s\"", hone_error_text(), cases[k].says);
    }
}

static bool has_form(const char *name)
{
    for (int k = 0; k < hone_form_count; k++)
        if (!strcmp(hone_forms[k].name, name)) return true;
    return false;
}

static void heads_of_the_tree(void **state)
{
    const hone_kernel_head *heads;
    int n;
    (void)state;
    assert_int_equal(hone_kernel_heads(&heads, &n), HONE_OK);
    assert_true(n >= 15);
    for (int k = 0; k < n; k++) {
        if (!has_form(heads[k].form)) fail_msg("%s: no form %s", heads[k].name, heads[k].form);
        assert_ptr_equal(hone_kernel_find(heads[k].name), &heads[k]);
        const char *included = *heads[k].include ? hone_cuda_text_find(heads[k].include) : "";
        assert_non_null(included);
        if (*heads[k].machine) assert_non_null(hone_cuda_text_find(heads[k].machine));
        if ((heads[k].n_maps == 2) != !strcmp(heads[k].machine, "tma_ptx.cuh")) fail_msg("%s: tma_ptx.cuh has two maps", heads[k].name);
        assert_null(strstr(included, "#include"));
        assert_true(strstr(heads[k].text, "hone_kernel(") || strstr(included, "hone_kernel("));
        if (!strstr(heads[k].text, "hone_follow(p)") && !strstr(included, "hone_follow(p)")) fail_msg("%s never calls hone_follow", heads[k].name);
    }
    assert_null(hone_kernel_find("nothing"));
}

// ---- versions: what a compiler would see of a kernel, without comments and blanks, under its version

static void add_code(hone_hash *hash, const char *text)
{
    while (*text) {
        size_t size = strcspn(text, "\n"), kept = size;
        const char *comment = strstr(text, "//");
        if (comment && comment < text + size && strncmp(comment, "//!", 3)) kept = (size_t)(comment - text);
        while (kept && (text[kept - 1] == ' ' || text[kept - 1] == '\t')) kept--;
        const char *begin = text;
        while (kept && *begin == ' ') begin++, kept--;
        bool is_estimate = !strncmp(begin, "//! macs", 8) || !strncmp(begin, "//! rate", 8) || !strncmp(begin, "//! bytes", 9) ||
                           !strncmp(begin, "//! registers", 13) || !strncmp(begin, "//! require", 11) || !strncmp(begin, "//! param", 9) || !strncmp(begin, "//! latency", 11);
        if (kept && !is_estimate) hone_hash_add(hash, begin, kept), hone_hash_add(hash, "\n", 1);
        text += size + (text[size] == '\n');
    }
}

static void print_version(const hone_kernel_head *head, char line[128])
{
    hone_hash hash;
    hone_id id;
    char hex[HONE_ID_TEXT];
    hone_hash_init(&hash);
    add_code(&hash, hone_cuda_text_find("ptx.cuh"));
    if (*head->machine) add_code(&hash, hone_cuda_text_find(head->machine));
    add_code(&hash, hone_cuda_text_find("hone.cuh"));
    if (*head->include) add_code(&hash, hone_cuda_text_find(head->include));
    add_code(&hash, head->text);
    hone_hash_end(&hash, &id);
    hone_id_print(&id, hex);
    snprintf(line, 128, "%s %d %.32s", head->name, head->version, hex);
}

// Times of a tactic are stored under its kernel's version: code that changes needs a new one, so that stale times cannot hide.
static void code_has_the_version_it_had(void **state)
{
    const hone_kernel_head *heads;
    int n, wrong = 0;
    static char known[65536];
    FILE *file = fopen("tests/kernel_versions.txt", "r");
    (void)state;
    assert_non_null(file);
    known[fread(known, 1, sizeof known - 1, file)] = 0;
    fclose(file);
    assert_int_equal(hone_kernel_heads(&heads, &n), HONE_OK);
    for (int k = 0; k < n; k++) {
        char line[128];
        print_version(&heads[k], line);
        if (strstr(known, line)) continue;
        print_message("tests/kernel_versions.txt lacks: %s\n", line);
        wrong++;
    }
    if (wrong) fail_msg("%d kernels changed: raise the version in each head (new code must not wear an old version) and put its line into the file", wrong);
}

int test_nvrtc_head(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_head), cmocka_unit_test(refuses_bad_heads), cmocka_unit_test(heads_of_the_tree),
        cmocka_unit_test(code_has_the_version_it_had),
    };
    return cmocka_run_group_tests_name("nvrtc_head", tests, NULL, NULL);
}
