// SPDX-License-Identifier: Apache-2.0
/* lz4: see codec_fuzz.h. */
#include "tests/fuzz/codec_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return codec_fuzz(CODEC_LZ4, data, size);
}
