// SPDX-License-Identifier: Apache-2.0
#include "tuner/compiler.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tuner/artifact.h"
#include "tuner/supervise.h"

#define LIMIT_NS 90000000000ll         // below what the tuner gives its worker for a compilation

struct hone_compiler {
    hone_target target;
    char spelling[256];
    hone_supervisor child;
};

hone_status hone_compiler_new(const hone_target *target, hone_compiler **compiler)
{
    hone_compiler *made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    made->target = *target;
    hone_target_print(target, made->spelling, sizeof made->spelling);
    const hone_supervisor_options options = {.worker = {.device = made->spelling, .sources = ""}, .compiles = true, .floor_ns = LIMIT_NS};
    *compiler = made;
    return hone_supervisor_init(&made->child, &options);
}

void hone_compiler_free(hone_compiler *compiler)
{
    if (!compiler) return;
    hone_supervisor_clear(&compiler->child);
    hone_free(compiler);
}

// A process that cannot be started is no reason not to compile: it is done here.
static hone_status compile_apart(hone_compiler *compiler, const char *problem, const hone_tactic *tactic)
{
    char text[HONE_TACTIC_TEXT];
    hone_ending ending;
    hone_wire_fields reply;
    if (hone_supervisor_start(&compiler->child)) return HONE_OK;
    hone_tactic_print(tactic, text);
    hone_status status = hone_supervisor_ask(&compiler->child, LIMIT_NS, "done", NULL, NULL, &ending, &reply, "compile\t%s\t%s", problem, text);
    if (status) return status;
    if (ending == HONE_ENDING_REFUSED) return hone_fail(compiler->child.refusal, "%s", compiler->child.why);
    return ending == HONE_ENDING_ANSWER ? HONE_OK : hone_fail(HONE_DECLINED, "the compiler failed: %s", compiler->child.why);
}

hone_status hone_compiler_make(hone_compiler *compiler, const hone_source *source, const char *problem_text, const hone_problem *problem,
                               const hone_tactic *tactic, char key[HONE_ARTIFACT_KEY], hone_blob *blob)
{
    *blob = (hone_blob){.registers = -1};
    *key = 0;
    hone_status status = source->key(problem, tactic, &compiler->target, key);
    if (status) return status;
    status = hone_artifact_find(key, blob);
    if (status != HONE_MISS) return status;
    hone_artifact_claim(key);          // two compilers would both make it
    status = hone_artifact_find(key, blob);
    if (status == HONE_MISS) {
        status = compile_apart(compiler, problem_text, tactic);
        if (!status) status = hone_artifact_find(key, blob);
    }
    hone_artifact_release(key);
    // Nothing was written: the cache folder cannot be, or no process could be started.
    return status == HONE_MISS ? hone_artifact_make(source, problem, tactic, &compiler->target, key, blob) : status;
}

// ---- the process's side

static hone_status compile_one(const hone_target *target, const char *problem_text, const char *tactic_text)
{
    hone_problem problem;
    hone_tactic tactic;
    hone_blob blob = {0};
    char key[HONE_ARTIFACT_KEY];
    hone_status status = HONE_OK;
    HONE_TRY(hone_problem_parse(problem_text, &problem));
    HONE_TRY(hone_tactic_parse(tactic_text, &tactic));
    const hone_source *source = hone_source_find(tactic.source);
    if (!source || !source->compile) return hone_fail(HONE_USAGE, "nothing compiles %s", tactic_text);
    status = hone_artifact_make(source, &problem, &tactic, target, key, &blob);
out:
    hone_free(blob.data);
    return status;
}

static void answer(const hone_target *target, const char *spelling, const hone_wire_fields *fields, hone_text *line)
{
    const char *verb = fields->at[1];
    hone_status status = HONE_OK;
    line->size = 0;
    if (!strcmp(verb, "hello")) {
        hone_text_printf(line, "%s\thello\t%s\t", fields->at[0], target->kind);
        hone_wire_put_words(line, spelling);
        hone_text_printf(line, "\t\t\t\n");
        return;
    }
    if (strcmp(verb, "compile") || fields->n != 4) status = hone_fail(HONE_USAGE, "the compiler has no request \"%.40s\"", verb);
    else status = compile_one(target, fields->at[2], fields->at[3]);
    if (status) {
        hone_text_printf(line, "%s\trefused\t%d\t", fields->at[0], (int)status);
        hone_wire_put_words(line, hone_error_text());
    } else {
        hone_text_printf(line, "%s\tdone", fields->at[0]);
    }
    hone_text_append(line, "\n", 1);
}

hone_status hone_compiler_serve(const char *spelling, int in, int out)
{
    hone_wire_reader reader = {.fd = in};
    hone_wire_fields fields;
    hone_target target;
    hone_text reply;
    char *line;
    hone_status status = hone_target_parse(spelling, &target);
    if (status) return status;
    hone_text_init(&reply);
    while (hone_wire_read(&reader, HONE_NEVER, NULL, &line) == HONE_WIRE_LINE && hone_wire_split(line, &fields)) {
        if (!strcmp(fields.at[1], "quit")) break;
        answer(&target, spelling, &fields, &reply);
        if (hone_text_status(&reply) || hone_wire_write(out, reply.data, reply.size, HONE_NEVER) != HONE_WIRE_LINE) break;
    }
    hone_text_clear(&reply);
    hone_wire_reader_clear(&reader);
    return HONE_OK;
}
