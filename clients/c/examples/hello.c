// SPDX-License-Identifier: Apache-2.0
/* Writes three records into a topic and reads the topic from the beginning to its end.
 * Usage: hello HOST:PORT TOPIC        cc hello.c $(pkg-config --cflags --libs libleat) -o hello */
#include <leat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000

static void die(const struct leat_error *e)
{
    fprintf(stderr, "hello: %s\n", e->text);
    exit(1);
}

static void write_three(struct leat_client *client, const char *topic)
{
    static const char *const words[] = {"to", "carry", "water"};
    struct leat_error e;
    struct leat_producer *producer;
    struct leat_producer_options options;
    leat_producer_options_init(&options);
    options.topic = topic;
    if (leat_producer_create(client, &options, &producer, &e) != LEAT_OK) die(&e);
    for (int i = 0; i < 3; i++) {
        struct leat_record record;
        leat_record_init(&record);
        record.value = words[i];
        record.value_len = (int32_t)strlen(words[i]);
        if (leat_produce(producer, &record, TIMEOUT_MS, &e) != LEAT_OK) die(&e);
    }
    if (leat_producer_flush(producer, TIMEOUT_MS, &e) != LEAT_OK) die(&e); /* now they are acknowledged */
    leat_producer_destroy(producer);
}

static void read_all(struct leat_client *client, const char *topic)
{
    struct leat_error e;
    struct leat_reader *reader;
    struct leat_reader_options options;
    struct leat_record record;
    enum leat_code code;
    leat_reader_options_init(&options);
    options.topic = topic;
    options.to.place = LEAT_TAIL; /* what there is now */
    if (leat_reader_create(client, &options, &reader, &e) != LEAT_OK) die(&e);
    while ((code = leat_reader_next(reader, TIMEOUT_MS, &record, &e)) == LEAT_OK)
        printf("partition %d offset %lld: %.*s\n", record.partition, (long long)record.offset,
               record.value_len < 0 ? 0 : record.value_len, record.value_len < 0 ? "" : (const char *)record.value);
    if (code != LEAT_END) die(&e);
    leat_reader_destroy(reader);
}

int main(int argc, char **argv)
{
    struct leat_options options;
    struct leat_client *client;
    struct leat_error e;
    if (argc != 3) {
        fprintf(stderr, "usage: hello HOST:PORT TOPIC\n");
        return 2;
    }
    leat_options_init(&options);
    options.brokers = argv[1];
    options.client_id = "hello";
    if (leat_client_create(&options, &client, &e) != LEAT_OK) die(&e);
    write_three(client, argv[2]);
    read_all(client, argv[2]);
    leat_client_destroy(client);
    return 0;
}
