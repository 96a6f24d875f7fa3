// SPDX-License-Identifier: Apache-2.0
/* What the batch_*.c files share; included by them alone. */
#pragma once
#include "protocol/batch.h"

/* The header as it stands: magic and length are checked (as batch_parse does), nothing else. */
enum status MUST_CHECK batch_parse_header(const void *data, size_t len, struct batch_info *ret_info);

/* Writes all 61 bytes from *info; the records must be in place: sets info->crc and the CRC field. */
void batch_header_write(void *data, struct batch_info *info);
