// SPDX-License-Identifier: Apache-2.0
/* One that waits for a journal group to become durable; embedded in its owner. */
#pragma once
#include "base/list.h"
#include "base/status.h"

struct commit_waiter {
    struct list_node in_commit;
    /* Called once, from the loop: STATUS_OK when durable, FENCED when it never will be. */
    void (*durable)(struct commit_waiter *w, enum status status);
};
