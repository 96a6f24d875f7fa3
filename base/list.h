// SPDX-License-Identifier: Apache-2.0
/* Intrusive doubly linked list. A node is named after the list it sits in (`in_ready`); insert checks that it is not
 * linked, remove clears it, so a node is in one list or in none. */
#pragma once
#include "base/check.h"
#include <stddef.h>

struct list_node {
    struct list_node *prev, *next; /* both NULL: in no list */
};

struct list {
    struct list_node head;
};

#define container_of(ptr, type, member) ((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
}

static inline bool list_linked(const struct list_node *n)
{
    return n->next != NULL;
}

static inline bool list_empty(const struct list *l)
{
    return l->head.next == &l->head;
}

static inline void list_insert_after(struct list_node *at, struct list_node *n)
{
    CHECK(!list_linked(n));
    n->prev = at;
    n->next = at->next;
    at->next->prev = n;
    at->next = n;
}

static inline void list_push_back(struct list *l, struct list_node *n)
{
    list_insert_after(l->head.prev, n);
}

static inline void list_push_front(struct list *l, struct list_node *n)
{
    list_insert_after(&l->head, n);
}

static inline void list_remove(struct list_node *n)
{
    CHECK(list_linked(n));
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->prev = n->next = NULL;
}

static inline struct list_node *list_first(const struct list *l)
{
    return list_empty(l) ? NULL : l->head.next;
}

static inline struct list_node *list_pop_front(struct list *l)
{
    struct list_node *n = list_first(l);
    if (n != NULL) list_remove(n);
    return n;
}

/* Safe against removal of `it` inside the body. */
#define list_each(it, l)                                                                                               \
    for (struct list_node *it = (l)->head.next, *it##_next = it->next; it != &(l)->head;                               \
         it = it##_next, it##_next = it->next)
