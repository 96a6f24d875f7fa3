// SPDX-License-Identifier: Apache-2.0
/* Between coordinator.c and coordinator_load.c. */
#pragma once
#include "broker/coordinator/coordinator.h"

void coordinator_load(struct coordinator *c);       /* now: resets the machine */
void coordinator_load_later(struct coordinator *c); /* after LOAD_AGAIN_NS */
void coordinator_idle(struct coordinator *c);       /* something in flight has ended */
