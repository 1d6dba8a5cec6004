// SPDX-License-Identifier: Apache-2.0
#include "kernels/nvrtc_head_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/nvrtc_texts.h"

typedef hone_status line_reader(hone_kernel_head *head, const char *rest);

static hone_status copy(char *to, size_t capacity, const char *from)
{
    if (strlen(from) >= capacity) return hone_fail(HONE_INTERNAL, "\"%s\" is too long", from);
    strcpy(to, from);
    return HONE_OK;
}

static hone_status read_kernel(hone_kernel_head *head, const char *rest)
{
    hone_scan scan = {rest};
    int64_t version;
    if (!hone_scan_word(&scan, head->name, sizeof head->name) || !hone_scan_char(&scan, ' ') || !hone_scan_int(&scan, &version))
        return hone_fail(HONE_INTERNAL, "a kernel needs a name and a version");
    head->version = (int)version;
    return HONE_OK;
}

static hone_status read_form(hone_kernel_head *head, const char *rest) { return copy(head->form, sizeof head->form, rest); }
static hone_status read_dtype(hone_kernel_head *head, const char *rest) { return copy(head->dtypes, sizeof head->dtypes, rest); }
static hone_status read_machine(hone_kernel_head *head, const char *rest) { return copy(head->machine, sizeof head->machine, rest); }
static hone_status read_include(hone_kernel_head *head, const char *rest) { return copy(head->include, sizeof head->include, rest); }

static hone_status read_arch(hone_kernel_head *head, const char *rest)
{
    char *end;
    head->arch = (int)strtol(rest, &end, 10);
    head->is_arch_alone = *end == 'a';
    return HONE_OK;
}

static hone_status read_early(hone_kernel_head *head, const char *rest)
{
    head->is_early = !strcmp(rest, "yes");
    return head->is_early ? HONE_OK : hone_fail(HONE_INTERNAL, "early is \"yes\" or not there");
}

static hone_status read_param(hone_kernel_head *head, const char *rest)
{
    hone_scan scan = {rest};
    if (head->n_params == HONE_PARAMS_MAX) return hone_fail(HONE_INTERNAL, "more than %d parameters", HONE_PARAMS_MAX);
    hone_range *range = &head->params[head->n_params];
    if (!hone_scan_word(&scan, range->name, sizeof range->name)) return hone_fail(HONE_INTERNAL, "a parameter needs a name");
    for (hone_scan_blanks(&scan); *scan.at; hone_scan_blanks(&scan))
        if (range->n == HONE_RANGE_MAX || !hone_scan_int(&scan, &range->values[range->n++]))
            return hone_fail(HONE_INTERNAL, "parameter %s: bad values", range->name);
    head->n_params++;
    return range->n ? HONE_OK : hone_fail(HONE_INTERNAL, "parameter %s has no values", range->name);
}

static hone_status read_line(hone_head_line *lines, int *n, int most, bool has_name, const char *rest)
{
    if (*n == most) return hone_fail(HONE_INTERNAL, "more than %d such lines", most);
    hone_head_line *line = &lines[*n];
    hone_scan scan = {rest};
    if (has_name && (!hone_scan_word(&scan, line->name, sizeof line->name) || !hone_scan_char(&scan, ' ')))
        return hone_fail(HONE_INTERNAL, "a name and an expression are needed");
    ++*n;
    return copy(line->text, sizeof line->text, scan.at);
}

static hone_status read_require(hone_kernel_head *head, const char *rest)
{
    return read_line(head->requires, &head->n_requires, HONE_HEAD_LINES, false, rest);
}

static hone_status read_let(hone_kernel_head *head, const char *rest)
{
    return read_line(head->lets, &head->n_lets, 16, true, rest);
}

static hone_status read_define(hone_kernel_head *head, const char *rest)
{
    return read_line(head->defines, &head->n_defines, HONE_HEAD_LINES, true, rest);
}

static hone_status read_arg(hone_kernel_head *head, const char *rest)
{
    return read_line(head->args, &head->n_args, HONE_HEAD_LINES, true, rest);
}

static hone_status read_real(hone_kernel_head *head, const char *rest)
{
    return read_line(head->reals, &head->n_reals, 8, true, rest);
}

static hone_status read_a_map(hone_kernel_head *head, const char *kind, const char *rest)
{
    int k = head->n_maps;
    hone_status status = read_line(head->maps, &head->n_maps, HONE_MAPS_MAX, false, rest);
    if (!status) strcpy(head->maps[k].name, kind);
    return status;
}

static hone_status read_map(hone_kernel_head *head, const char *rest) { return read_a_map(head, "map", rest); }
static hone_status read_image(hone_kernel_head *head, const char *rest) { return read_a_map(head, "image", rest); }

// "x; y; z" with y and z optional.
static hone_status read_grid(hone_kernel_head *head, const char *rest)
{
    for (int k = 0; k < 3; k++) {
        size_t size = strcspn(rest, ";");
        if (size >= sizeof head->grid[k].text) return hone_fail(HONE_INTERNAL, "the grid is too long");
        memcpy(head->grid[k].text, rest, size);
        head->grid[k].text[size] = 0;
        if (!size) strcpy(head->grid[k].text, "1");
        rest += size + (rest[size] == ';');
    }
    return HONE_OK;
}

#define ONE_LINE(word) \
    static hone_status read_##word(hone_kernel_head *head, const char *rest) { return copy(head->word.text, sizeof head->word.text, rest); }
ONE_LINE(block)
ONE_LINE(shared)
ONE_LINE(cluster)
ONE_LINE(workspace)
ONE_LINE(macs)
ONE_LINE(rate)
ONE_LINE(bytes)
ONE_LINE(latency)
ONE_LINE(registers)

static const struct { const char *word; line_reader *read; } words[] = {
    {"kernel", read_kernel}, {"form", read_form}, {"dtype", read_dtype}, {"arch", read_arch}, {"machine", read_machine},
    {"include", read_include}, {"param", read_param}, {"let", read_let}, {"require", read_require}, {"define", read_define}, {"arg", read_arg}, {"real", read_real},
    {"map", read_map}, {"image", read_image},
    {"grid", read_grid}, {"block", read_block}, {"early", read_early}, {"shared", read_shared}, {"cluster", read_cluster}, {"workspace", read_workspace},
    {"macs", read_macs}, {"rate", read_rate}, {"bytes", read_bytes}, {"latency", read_latency}, {"registers", read_registers},
};

static hone_status read_words(hone_kernel_head *head, const char *line)
{
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        size_t size = strlen(words[k].word);
        if (!strncmp(line, words[k].word, size) && line[size] == ' ') return words[k].read(head, line + size + 1);
    }
    return hone_fail(HONE_INTERNAL, "unknown word in \"%s\"", line);
}

static void set_defaults(hone_kernel_head *head, const char *text)
{
    memset(head, 0, sizeof *head);
    head->text = text;
    head->arch = 80;
    strcpy(head->dtypes, "any");
    strcpy(head->shared.text, "0");
    strcpy(head->cluster.text, "1");
    strcpy(head->workspace.text, "0");
    strcpy(head->macs.text, "0");
    strcpy(head->rate.text, "128");
    strcpy(head->bytes.text, "0");
    strcpy(head->latency.text, "1200");
    strcpy(head->registers.text, "64");
}

hone_status hone_kernel_head_parse(const char *file, const char *text, hone_kernel_head *head)
{
    int number = 1;
    set_defaults(head, text);
    for (const char *at = text; *at; number++) {
        size_t size = strcspn(at, "\n");
        char line[600];
        if (!strncmp(at, "//! ", 4)) {
            snprintf(line, sizeof line, "%.*s", (int)(size - 4), at + 4);
            hone_status status = size < sizeof line ? read_words(head, line) : hone_fail(HONE_INTERNAL, "the line is too long");
            if (status) return hone_fail_in(status, "%s:%d", file, number);
        }
        at += size + (at[size] == '\n');
    }
    if (!*head->name || !*head->form || !*head->grid[0].text || !*head->block.text)
        return hone_fail(HONE_INTERNAL, "%s: the head needs kernel, form, grid and block", file);
    return HONE_OK;
}

// ---- all of them

static struct {
    pthread_once_t once;
    hone_kernel_head *heads;       // lives as long as the process
    int n;
    hone_status status;
    char why[512];
} all = {.once = PTHREAD_ONCE_INIT};

static void read_all(void)
{
    all.heads = calloc((size_t)hone_cuda_text_count + 1, sizeof *all.heads);      // never freed, so not the counted allocator
    if (!all.heads) all.status = hone_fail(HONE_NO_MEMORY, "no memory for the heads of the CUDA kernels");
    for (int k = 0; k < hone_cuda_text_count && !all.status; k++) {
        size_t size = strlen(hone_cuda_texts[k].name);
        if (size < 3 || strcmp(hone_cuda_texts[k].name + size - 3, ".cu")) continue;
        all.status = hone_kernel_head_parse(hone_cuda_texts[k].name, hone_cuda_texts[k].text, &all.heads[all.n++]);
    }
    snprintf(all.why, sizeof all.why, "%s", all.status ? hone_error_text() : "");
}

hone_status hone_kernel_heads(const hone_kernel_head **heads, int *n)
{
    pthread_once(&all.once, read_all);
    *heads = all.heads;
    *n = all.status ? 0 : all.n;
    return all.status ? hone_fail(all.status, "%s", all.why) : HONE_OK;
}

const hone_kernel_head *hone_kernel_find(const char *name)
{
    const hone_kernel_head *heads;
    int n;
    if (hone_kernel_heads(&heads, &n)) return NULL;
    for (int k = 0; k < n; k++)
        if (!strcmp(heads[k].name, name)) return &heads[k];
    return NULL;
}

const char *hone_cuda_text_find(const char *name)
{
    for (int k = 0; k < hone_cuda_text_count; k++)
        if (!strcmp(hone_cuda_texts[k].name, name)) return hone_cuda_texts[k].text;
    return NULL;
}
