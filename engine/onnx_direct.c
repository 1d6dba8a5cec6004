// SPDX-License-Identifier: Apache-2.0
// Operators that an op's own descriptor maps (hone_op.onnx): "Type operand... @attribute... onnx_name=hone_name...". Operands go by
// position, "@name" is a constant operand that becomes an attribute, attributes of equal names need no word.
#include <string.h>

#include "engine/import_priv.h"

enum { WORD_BYTES = 64 };

const hone_op *onnx_direct_find(const char *op_type, const char **line)
{
    size_t n = strlen(op_type);
    for (int k = 0; k < hone_op_count; k++) {
        for (const char *at = hone_ops[k]->onnx; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
            if (strncmp(at, op_type, n) || (at[n] && at[n] != ' ' && at[n] != '\n')) continue;
            *line = at + n;
            return hone_ops[k];
        }
    }
    return NULL;
}

static bool next_word(const char **line, char word[WORD_BYTES])
{
    while (**line == ' ') ++*line;
    size_t n = strcspn(*line, " \n");
    if (!n || n >= WORD_BYTES) return false;
    memcpy(word, *line, n);
    word[n] = 0;
    *line += n;
    return true;
}

static hone_status set_attr(hone_call *call, const char *name, const onnx_attr *attr)
{
    hone_attr_kind kind = call->op->attrs[hone_op_attr_index(call->op, name)].kind;
    hone_dtype dtype;
    switch (attr->type) {
    case ONNX_ATTR_INT:
        if (kind == HONE_ATTR_REAL) return hone_call_set_real(call, name, (double)attr->i);
        if (kind != HONE_ATTR_DTYPE) return hone_call_set_ints(call, name, &attr->i, 1);
        if (onnx_dtype(attr->i, &dtype) != HONE_OK) return HONE_MODEL;
        return hone_call_set_ints(call, name, &(int64_t){dtype}, 1);
    case ONNX_ATTR_INTS: return hone_call_set_ints(call, name, attr->ints, attr->n);
    case ONNX_ATTR_FLOAT: return hone_call_set_real(call, name, attr->f);
    case ONNX_ATTR_STRING: return hone_call_set_word(call, name, attr->s);
    default: return hone_fail(HONE_MODEL, "attribute %s has a type that is not understood", name);
    }
}

// hone's name of an ONNX attribute: as the line says, or the same.
static const char *map_name(const hone_op *op, const char *line, const char *name, char word[WORD_BYTES])
{
    while (next_word(&line, word)) {
        char *equals = strchr(word, '=');
        if (!equals) continue;
        *equals = 0;
        if (!strcmp(word, name) && hone_op_attr_index(op, equals + 1) >= 0) return equals + 1;
        if (!strcmp(equals + 1, name) && hone_op_attr_index(op, word) >= 0) return word;
    }
    return hone_op_attr_index(op, name) >= 0 ? name : NULL;
}

static hone_status set_attrs(onnx_import *im, hone_call *call, const char *line)
{
    char word[WORD_BYTES];
    for (int k = 0; k < im->node->n_attrs; k++) {
        const char *name = map_name(call->op, line, im->node->attrs[k].name, word);
        if (!name) continue;               // the caller refuses what nobody used
        hone_status status = set_attr(call, name, onnx_find_attr(im, im->node->attrs[k].name));
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

static hone_status set_operand_attr(onnx_import *im, hone_call *call, const char *name, int value)
{
    double reals[HONE_ATTR_LIST];
    int64_t ints[HONE_ATTR_LIST];
    int n;
    hone_attr_kind kind = call->op->attrs[hone_op_attr_index(call->op, name)].kind;
    hone_status status;
    if (kind == HONE_ATTR_REAL) {
        HONE_TRY(onnx_const_reals(im, value, name, reals, 1, &n));
        status = hone_call_set_real(call, name, reals[0]);
    } else {
        HONE_TRY(onnx_const_ints(im, value, name, ints, HONE_ATTR_LIST, &n));
        status = hone_call_set_ints(call, name, ints, n);
    }
out:
    return status;
}

hone_status onnx_direct_import(onnx_import *im, const hone_op *op, const char *line, const int *in, int n_in, int *out)
{
    hone_call call;
    char word[WORD_BYTES];
    const char *at = line;
    int values[HONE_OUTPUTS_MAX], operands[HONE_INPUTS_MAX], required, most = hone_op_input_count(op, &required), position = 0;
    bool has_attr_operands = strchr(line, '@') && (!strchr(line, '\n') || strchr(line, '@') < strchr(line, '\n'));
    hone_status status = hone_call_init(&call, op->name, 0);
    HONE_TRY(status);
    HONE_TRY(set_attrs(im, &call, line));
    while (has_attr_operands && next_word(&at, word)) {
        if (strchr(word, '=')) continue;
        if (word[0] == '@' && onnx_given(in, n_in, position)) HONE_TRY(set_operand_attr(im, &call, word + 1, in[position]));
        if (word[0] != '@') operands[call.n_in++] = position < n_in ? in[position] : -1;
        position++;
    }
    if (!has_attr_operands) {
        if (n_in < required || n_in > most) HONE_TRY(hone_fail(HONE_MODEL, "%d operands, %d to %d are known", n_in, required, most));
        call.n_in = n_in;
        memcpy(operands, in, (size_t)n_in * sizeof *in);
    } else if (n_in > position) {
        HONE_TRY(hone_fail(HONE_MODEL, "%d operands, at most %d are known", n_in, position));
    }
    while (call.n_in > required && operands[call.n_in - 1] < 0) call.n_in--;
    if (im->node->n_outputs < 1 || im->node->n_outputs > op->outputs) HONE_TRY(hone_fail(HONE_MODEL, "%d outputs, %d are known", im->node->n_outputs, op->outputs));
    call.n_out = im->node->n_outputs;
    HONE_TRY(onnx_emit(im, &call, operands, values));
    memcpy(out, values, (size_t)im->node->n_outputs * sizeof *out);
out:
    return status;
}
