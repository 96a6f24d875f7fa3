// SPDX-License-Identifier: Apache-2.0
/* One-line text of a message for traces: {topics=[{name="a" partitions=[0,1]}]}. Bounded by the caller's memory: what
 * does not fit is cut, the text is always NUL-terminated. Strings are escaped, records and bytes show their length. */
#pragma once
#include "protocol/uuid.h"
#include "protocol/wire.h"

struct printer {
    char *out;
    size_t size; /* > 0 */
    size_t used; /* characters the whole text needs so far, without the NUL */
};

void printer_init(struct printer *p, char *out, size_t size);
void printer_name(struct printer *p, const char *name); /* " name=", without the space after an opening bracket */
void printer_text(struct printer *p, const char *text);
void printer_int(struct printer *p, int64_t v);
void printer_float(struct printer *p, double v);
void printer_str(struct printer *p, struct str v);
void printer_bytes(struct printer *p, struct bytes v);
void printer_records(struct printer *p, const struct records *v);
void printer_uuid(struct printer *p, struct uuid v);
bool printer_full(const struct printer *p); /* nothing more can show: loops may stop */
