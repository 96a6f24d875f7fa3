// SPDX-License-Identifier: Apache-2.0
/* gzip: see codec_fuzz.h. */
#include "tests/fuzz/codec_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return codec_fuzz(CODEC_GZIP, data, size);
}
