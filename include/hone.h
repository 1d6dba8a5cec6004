/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libhone: loads a plan that `hone build` wrote and runs it. docs/api.md tells the whole story with an example.
 *
 * Every int answer is HONE_API_OK or another code below; hone_last_error has the sentence. Nothing here prints or exits.
 * A network may be shared by threads; each of its inferences (slots) belongs to one thread at a time, and several run at once.
 * Structures begin with their size, which the caller sets, so that they can grow without breaking programs built before.
 */
#ifndef HONE_H
#define HONE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HONE_API __attribute__((visibility("default")))
#define HONE_ABI 1                      /* of this header; hone_abi_version tells the library's */
#define HONE_DIMS_MAX 8

enum {                                  /* the same numbers as the exit codes of the program */
    HONE_API_OK = 0,
    HONE_API_INTERNAL = 1,              /* memory, files, a bug */
    HONE_API_USAGE = 2,                 /* a wrong argument; a plan for another device or other library versions */
    HONE_API_NUMERIC = 4,               /* HONE_VERIFY found a tactic off its reference */
    HONE_API_DAMAGED = 7,               /* the plan is damaged or too new */
    HONE_API_NO_DEVICE = 8,
    HONE_API_AGAIN = 75                 /* busy: try again later */
};

enum {                                  /* flags of hone_network_open, joined with | */
    HONE_ALLOW_OTHER_VERSIONS = 1,      /* libraries other than those that the plan was built beside */
    HONE_VERIFY = 2                     /* run every distinct tactic once against its reference; slow */
};

typedef struct hone_network hone_network;         /* a plan, resident on a device: weights and code */
typedef struct hone_inference hone_inference;     /* one slot: an inference in flight with its memory */

typedef struct hone_port_info {
    size_t struct_bytes;                /* set by the caller: sizeof(hone_port_info) */
    const char *name;                   /* lives as long as the network */
    const char *type;                   /* f32, f16, bf16, f64, i8, u8, i16, u16, i32, u32, i64, u64, bool (one byte) */
    int rank;
    int64_t dims[HONE_DIMS_MAX];        /* row-major */
    size_t size_bytes;
} hone_port_info;

typedef struct hone_inference_options {
    size_t struct_bytes;                /* set by the caller: sizeof(hone_inference_options) */
    int lanes;                          /* most streams used; 0: as the plan says */
    int no_graph;                       /* not 0: launches instead of a captured graph */
    void *stream;                       /* a CUstream of the caller's in the primary context, to run on in order; NULL: one of its own.
                                           A network's inferences on one stream share the memory of what lies between inputs and outputs */
} hone_inference_options;

HONE_API int hone_abi_version(void);
HONE_API const char *hone_version(void);                      /* "0.1.0" */
HONE_API const char *hone_last_error(void);                   /* of this thread; valid until its next failure, "" if none */

/* device: "cpu", "cuda", "cuda:1"; NULL: the first of the plan's kind. */
HONE_API int hone_network_open(const char *plan_path, const char *device, unsigned flags, hone_network **network);
HONE_API void hone_network_close(hone_network *network);      /* after its inferences; NULL is legal */
HONE_API const char *hone_network_device(const hone_network *network);        /* its full spelling */
HONE_API int hone_network_input_count(const hone_network *network);
HONE_API int hone_network_output_count(const hone_network *network);
HONE_API int hone_network_find_input(const hone_network *network, const char *name);      /* -1: there is none */
HONE_API int hone_network_find_output(const hone_network *network, const char *name);
HONE_API int hone_network_get_input(const hone_network *network, int input, hone_port_info *info);
HONE_API int hone_network_get_output(const hone_network *network, int output, hone_port_info *info);

HONE_API int hone_inference_new(hone_network *network, const hone_inference_options *options, hone_inference **inference);   /* options may be NULL */
HONE_API void hone_inference_free(hone_inference *inference); /* waits for what runs; NULL is legal */
/* Host memory in the port's type. Inputs stay set until they are set again; data must stay until the next wait or run returns. */
HONE_API int hone_inference_set_input(hone_inference *inference, int input, const void *data, size_t size_bytes);
HONE_API int hone_inference_start(hone_inference *inference); /* returns at once */
HONE_API int hone_inference_wait(hone_inference *inference);
HONE_API int hone_inference_run(hone_inference *inference);   /* start and wait */
HONE_API int hone_inference_get_output(hone_inference *inference, int output, void *data, size_t size_bytes);

#ifdef __cplusplus
}
#endif

#endif
