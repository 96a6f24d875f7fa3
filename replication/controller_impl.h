// SPDX-License-Identifier: Apache-2.0
/* What the controller's rules share. */
#pragma once
#include "replication/controller.h"

/* Always false, so that a check reads `return rule_fail(...)`. */
bool rule_fail(struct rule_error *e, enum rule_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline void rule_ok(struct rule_error *e)
{
    e->code = RULE_OK;
    e->text[0] = '\0';
}

/* Takes back what a wish has added: a wish that fails leaves nothing. */
static inline void records_cut(struct record_list *l, uint32_t count)
{
    l->count = count;
}

/* Checks one setting of a creation or a replacement. */
bool rule_config_value(const struct controller *c, enum config_resource type, struct str key, struct str value,
                       struct rule_error *ret_error);
/* NO_MEMORY, or OK. value null: delete. */
enum status rule_config_record(struct record_list *l, enum config_resource type, struct str name, struct str key,
                               struct str value) MUST_CHECK;
