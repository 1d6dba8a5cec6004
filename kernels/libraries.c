// SPDX-License-Identifier: Apache-2.0
#include "kernels/library.h"

extern hone_library hone_library_cuda, hone_library_nvml, hone_library_nvrtc, hone_library_cublaslt, hone_library_cudnn,
    hone_library_cupti;

hone_library *const hone_libraries[] = {
    &hone_library_cuda, &hone_library_nvml, &hone_library_nvrtc, &hone_library_cublaslt, &hone_library_cudnn,
    &hone_library_cupti,
};
const int hone_library_count = sizeof hone_libraries / sizeof *hone_libraries;

void hone_library_versions(hone_text *text)
{
    for (int i = 0; i < hone_library_count; i++) {
        hone_library *library = hone_libraries[i];
        if (!hone_library_open(library) && library->version[0])
            hone_text_printf(text, "%s%s=%s", text->size ? " " : "", library->name, library->version);
    }
}
