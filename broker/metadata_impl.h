// SPDX-License-Identifier: Apache-2.0
/* The inside of shard 0's metadata, shared by metadata.c (calls and the start), metadata_image.c (what the metadata log
 * asks of its owner) and metadata_news.c (publications). */
#pragma once
#include "broker/burials.h"
#include "broker/metadata.h"
#include "broker/metadata_rules.h"
#include "broker/shard.h"
#include "replication/metalog.h"

struct news { /* a publication, on its way to every shard and back */
    struct list_node in_metadata;
    struct metadata *metadata;
    struct publication p;
    struct image_delta *delta;    /* NULL: the first one, whose changes are ours */
    struct image_change *changes; /* of the first */
    uint32_t waiting;             /* shards that have not answered */
};

struct metadata {
    struct metalog_owner owner;
    struct shard *zero;
    struct image *image;
    struct metalog *metalog; /* NULL: not open */
    struct metalog_open open;
    struct metalog_close close;
    struct image_reader *reader;
    struct image_writer *writer;
    void (*closed)(struct shard *zero);
    char dir[512];
    /* changes: one call at a time */
    struct task change;
    struct list calls;
    struct metadata_call *running;
    struct list parked; /* calls that would make a topic whose name is not free yet */
    struct burials burials;
    struct metalog_submit submit;
    struct arena arena;
    struct prng random;
    struct metadata_rules rules;
    /* news: the first one in the list is with the shards */
    struct list news;
    uint64_t published; /* every shard has taken in what was applied up to here */
    bool live;          /* the first publication is on its way or made: later ones follow it */
    bool failed, closing;
    /* start */
    struct metadata_call start;
    bool registered;
    size_t topic_pos; /* in leat.topics */
};

/* metadata.c */
void metadata_fail(struct metadata *m, enum status status, const char *why); /* one log line, once */
void metadata_published(struct metadata *m);
void metadata_leading(struct metadata *m);

/* metadata_image.c */
extern const struct metalog_owner_ops metadata_owner_ops;

/* metadata_news.c */
void news_add(struct metadata *m, struct image_delta *d);
void news_first(struct metadata *m); /* the whole image */
