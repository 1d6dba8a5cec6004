// SPDX-License-Identifier: Apache-2.0
// Control flow that is settled at import: If with a known condition. And the operators that are refused, with the reason.
#include <string.h>

#include "engine/onnx_rules_priv.h"

static hone_status branch(onnx_import *im, const int *in, int n_in, int *out)
{
    int64_t condition;
    int n;
    (void)n_in;
    const onnx_attr *yes = onnx_find_attr(im, "then_branch"), *no = onnx_find_attr(im, "else_branch");
    if (!yes || !no || !yes->g || !no->g) return hone_fail(HONE_MODEL, "a branch is missing");
    hone_status status = onnx_const_ints(im, in[0], "the condition", &condition, 1, &n);
    if (status != HONE_OK) return status;
    if (n != 1) return hone_fail(HONE_MODEL, "the condition holds %d values", n);
    return onnx_import_branch(im, condition ? yes->g : no->g, condition ? "then" : "else", im->node->n_outputs, out);
}

#define ANY 0, HONE_IMPORT_OPERANDS, HONE_IMPORT_OPERANDS

static const char loops[] = "loops run a number of times that only the running network knows";
static const char random_numbers[] = "it draws random numbers";
static const char sequences[] = "sequences and optional values are not supported";
static const char strings[] = "strings are not supported";
static const char recurrent[] = "recurrent layers are not supported";
static const char data_shape[] = "the shape of its result depends on the data";
static const char signals[] = "signal transforms are not supported";
static const char places[] = "reading at computed positions between the elements is not supported";
static const char rare[] = "no network of those that hone was made for has it";

const onnx_rule onnx_rules_control[] = {
    {"If", 0, 0, 1, 1, HONE_IMPORT_OPERANDS, branch, NULL},
    {"Loop", 0, 0, ANY, NULL, loops},
    {"Scan", 0, 0, ANY, NULL, loops},
    {"SequenceMap", 0, 0, ANY, NULL, sequences},
    {"SequenceAt", 0, 0, ANY, NULL, sequences},
    {"SequenceConstruct", 0, 0, ANY, NULL, sequences},
    {"SequenceEmpty", 0, 0, ANY, NULL, sequences},
    {"SequenceErase", 0, 0, ANY, NULL, sequences},
    {"SequenceInsert", 0, 0, ANY, NULL, sequences},
    {"SequenceLength", 0, 0, ANY, NULL, sequences},
    {"SplitToSequence", 0, 0, ANY, NULL, sequences},
    {"ConcatFromSequence", 0, 0, ANY, NULL, sequences},
    {"Optional", 0, 0, ANY, NULL, sequences},
    {"OptionalGetElement", 0, 0, ANY, NULL, sequences},
    {"OptionalHasElement", 0, 0, ANY, NULL, sequences},
    {"RandomNormal", 0, 0, ANY, NULL, random_numbers},
    {"RandomNormalLike", 0, 0, ANY, NULL, random_numbers},
    {"RandomUniform", 0, 0, ANY, NULL, random_numbers},
    {"RandomUniformLike", 0, 0, ANY, NULL, random_numbers},
    {"Multinomial", 0, 0, ANY, NULL, random_numbers},
    {"Bernoulli", 0, 0, ANY, NULL, random_numbers},
    {"StringNormalizer", 0, 0, ANY, NULL, strings},
    {"StringConcat", 0, 0, ANY, NULL, strings},
    {"StringSplit", 0, 0, ANY, NULL, strings},
    {"RegexFullMatch", 0, 0, ANY, NULL, strings},
    {"TfIdfVectorizer", 0, 0, ANY, NULL, strings},
    {"RNN", 0, 0, ANY, NULL, recurrent},
    {"GRU", 0, 0, ANY, NULL, recurrent},
    {"LSTM", 0, 0, ANY, NULL, recurrent},
    {"Unique", 0, 0, ANY, NULL, data_shape},
    {"NonMaxSuppression", 0, 0, ANY, NULL, data_shape},
    {"GridSample", 0, 0, ANY, NULL, places},
    {"AffineGrid", 0, 0, ANY, NULL, places},
    {"RoiAlign", 0, 0, ANY, NULL, places},
    {"MaxRoiPool", 0, 0, ANY, NULL, places},
    {"DeformConv", 0, 0, ANY, NULL, places},
    {"Col2Im", 0, 0, ANY, NULL, rare},
    {"CumProd", 0, 0, ANY, NULL, rare},
    {"Det", 0, 0, ANY, NULL, rare},
    {"BitCast", 0, 0, ANY, NULL, rare},
    {"RotaryEmbedding", 0, 0, ANY, NULL, rare},
    {"TensorScatter", 0, 0, ANY, NULL, rare},
    {"ImageDecoder", 0, 0, ANY, NULL, rare},
    {"CausalConvWithState", 0, 0, ANY, NULL, rare},
    {"LinearAttention", 0, 0, ANY, NULL, rare},
    {"SwiGLU", 0, 0, ANY, NULL, rare},
    {"DFT", 0, 0, ANY, NULL, signals},
    {"STFT", 0, 0, ANY, NULL, signals},
    {"MelWeightMatrix", 0, 0, ANY, NULL, signals},
    {0},
};
