// SPDX-License-Identifier: Apache-2.0
/* Who does what: which connection goes to which broker, which stream it writes, which thread has it. Pure.
 *
 * A partition's records go to its leader. Of each broker, partitions and connections are dealt into groups (as many as
 * the fewer of the two); a connection writes to every partition of its group, each such pair is a stream. So with more
 * partitions than connections each partition has one writer, with more connections several. A group, its connections,
 * its partitions and what reads them stay on one thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct plan_connection {
    uint32_t broker, thread;
    uint32_t first_stream, stream_count; /* streams of a connection stand together */
};

struct plan_stream {
    uint32_t connection, partition;
};

struct plan_reader { /* a connection that fetches */
    uint32_t broker, thread;
    uint32_t first, count; /* of read_order */
};

struct plan {
    struct plan_connection *connections;
    uint32_t connection_count;
    struct plan_stream *streams;
    uint32_t stream_count;
    struct plan_reader *readers;
    uint32_t reader_count;
    uint32_t *read_order; /* partitions, those of a reader together and ascending */
    uint32_t *thread_of;  /* by partition */
    uint32_t partition_count;
};

struct plan_input {
    const uint32_t *leaders; /* broker of each partition, < broker_count */
    uint32_t partitions, brokers;
    uint32_t connections; /* over all brokers; a broker that leads something gets at least one */
    uint32_t readers;     /* likewise; at least one per broker and thread that has something to read */
    uint32_t threads;
};

void plan_make(struct plan *p, const struct plan_input *in); /* partitions, connections, threads >= 1 */
void plan_free(struct plan *p);
