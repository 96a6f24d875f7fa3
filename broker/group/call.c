// SPDX-License-Identifier: Apache-2.0
/* Calls at their coordinator (call.h). Path: groups_call -> the rules answer it, or hold it and answer it in a later
 * step -> `answered` of the machine -> its owner sends it home. Failure modes: no memory for a response ends the call
 * with a retriable error. */
#include "broker/group/call.h"
#include "base/check.h"
#include "broker/group/groups.h"

static void end(struct groups *gs, struct group_call *c)
{
    CHECK(!c->answered);
    if (c->holder != NULL) {
        CHECK(*c->holder == c);
        *c->holder = NULL;
        c->holder = NULL;
    }
    c->answered = true;
    list_push_back(&gs->answered, &c->in_answered);
}

void call_answer(struct groups *gs, struct group_call *c)
{
    c->error = KAFKA_NONE;
    end(gs, c);
}

void call_fail(struct groups *gs, struct group_call *c, int16_t error)
{
    CHECK(error != KAFKA_NONE);
    c->error = error;
    end(gs, c);
}

void call_hold(struct group_call *c, struct group_call **holder)
{
    CHECK(!c->answered && c->holder == NULL && *holder == NULL);
    *holder = c;
    c->holder = holder;
}

void *call_zalloc(struct group_call *c, size_t size)
{
    return arena_zalloc(c->arena, size);
}

bool keep_bytes(struct arena *a, struct bytes b, struct bytes *ret_copy)
{
    *ret_copy = b.len < 0 ? BYTES_NULL : BYTES_EMPTY;
    if (b.len <= 0) return true;
    uint8_t *p = arena_alloc(a, (size_t)b.len);
    if (p == NULL) return false;
    memcpy(p, b.data, (size_t)b.len);
    *ret_copy = (struct bytes){p, b.len};
    return true;
}

bool keep_str(struct arena *a, struct str s, struct str *ret_copy)
{
    struct bytes copy;
    bool room = keep_bytes(a, (struct bytes){(const uint8_t *)s.data, s.len}, &copy);
    *ret_copy = (struct str){(const char *)copy.data, copy.len};
    return room;
}

bool call_copy_bytes(struct group_call *c, struct bytes b, struct bytes *ret_copy)
{
    return keep_bytes(c->arena, b, ret_copy);
}

bool call_copy_str(struct group_call *c, struct str s, struct str *ret_copy)
{
    return keep_str(c->arena, s, ret_copy);
}
