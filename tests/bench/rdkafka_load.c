// SPDX-License-Identifier: Apache-2.0
/* A producer on librdkafka, as fast as it goes: what a client that everybody uses gets out of a broker. Its settings
 * are librdkafka's own unless -X says otherwise.
 *
 *   rdkafka_load BROKERS TOPIC SIZE WARMUP_S SECONDS BROKER_PID [-X KEY=VALUE]...
 *
 * One JSON line on standard output: records acknowledged in the measured time, latency from produce() to the
 * acknowledgement, CPU of this process and of the broker. Failure modes: a record that is not delivered, or none in 30
 * s, ends it with a sentence and exit code 1. */
#include "base/histogram.h"
#include "tools/bench/machine.h"
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_EVERY 256
#define STUCK_NS   30000000000ll

struct load {
    rd_kafka_t *producer;
    const char *topic;
    uint8_t *payload;
    size_t size;
    int64_t from_ns, to_ns, last_ns;
    uint64_t sent, acked;
    struct histogram latency;
    char error[256];
};

struct moment {
    struct counters own;
    struct process broker;
};

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *m, void *opaque)
{
    struct load *l = opaque;
    int64_t now = clock_ns();
    l->last_ns = now;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (l->error[0] == '\0')
            snprintf(l->error, sizeof l->error, "a record was not delivered: %s", rd_kafka_err2str(m->err));
    } else if (now >= l->from_ns && now < l->to_ns) {
        l->acked++;
        histogram_record(&l->latency, (uint64_t)rd_kafka_message_latency(m) * 1000);
    }
}

static bool connect_producer(struct load *l, const char *brokers, int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good = rd_kafka_conf_set(conf, "bootstrap.servers", brokers, l->error, sizeof l->error) == RD_KAFKA_CONF_OK;
    for (int i = 0; good && i < argc; i++) {
        char *sign = strchr(argv[i], '=');
        if (strcmp(argv[i], "-X") == 0) continue;
        if (sign == NULL) {
            snprintf(l->error, sizeof l->error, "%s: give -X KEY=VALUE", argv[i]);
            return false;
        }
        *sign = '\0';
        good = rd_kafka_conf_set(conf, argv[i], sign + 1, l->error, sizeof l->error) == RD_KAFKA_CONF_OK;
    }
    if (!good) return false;
    l->error[0] = '\0'; /* a topic's setting leaves a complaint behind although it is taken */
    rd_kafka_conf_set_opaque(conf, l);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    l->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, l->error, sizeof l->error);
    return l->producer != NULL;
}

/* Until the clock says so; the queue's limits are the back-pressure. */
static bool produce_until(struct load *l, int64_t end_ns)
{
    while (l->error[0] == '\0' && clock_ns() < end_ns) {
        for (int i = 0; i < POLL_EVERY; i++) {
            rd_kafka_resp_err_t e =
                rd_kafka_producev(l->producer, RD_KAFKA_V_TOPIC(l->topic), RD_KAFKA_V_VALUE(l->payload, l->size),
                                  RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_END);
            if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                rd_kafka_poll(l->producer, 10);
                break;
            }
            if (e != RD_KAFKA_RESP_ERR_NO_ERROR) {
                snprintf(l->error, sizeof l->error, "produce: %s", rd_kafka_err2str(e));
                break;
            }
            l->sent++;
        }
        rd_kafka_poll(l->producer, 0);
        if (clock_ns() - l->last_ns > STUCK_NS) snprintf(l->error, sizeof l->error, "nothing was delivered in 30 s");
    }
    return l->error[0] == '\0';
}

static void look(int64_t pid, struct moment *m)
{
    static const struct machine none;
    counters_read(&none, &m->own);
    if (!process_read(pid, &m->broker)) m->broker = (struct process){0};
}

static void report(const struct load *l, const struct moment *a, const struct moment *b)
{
    double seconds = (double)(b->own.at_ns - a->own.at_ns) / 1e9;
    printf("{\"driver\": \"librdkafka %s\", \"seconds\": %.6f, \"acked_records\": %llu, \"acked_bytes\": %llu, "
           "\"acked_per_s\": %.1f, ",
           rd_kafka_version_str(), seconds, (unsigned long long)l->acked, (unsigned long long)(l->acked * l->size),
           (double)l->acked / seconds);
    printf("\"ack\": {\"count\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu, \"max_ns\": %llu}, ",
           (unsigned long long)histogram_count(&l->latency), (unsigned long long)histogram_percentile(&l->latency, 50),
           (unsigned long long)histogram_percentile(&l->latency, 99), (unsigned long long)histogram_max(&l->latency));
    printf("\"generator\": {\"cpu_s\": %.3f, \"cores\": %.3f}, \"machine_cpu_s\": %.3f, "
           "\"brokers\": [{\"cpu_s\": %.3f, \"rss_bytes\": %llu}]}\n",
           b->own.cpu_s - a->own.cpu_s, (b->own.cpu_s - a->own.cpu_s) / seconds,
           b->own.machine_cpu_s - a->own.machine_cpu_s, b->broker.cpu_s - a->broker.cpu_s,
           (unsigned long long)b->broker.rss_bytes);
}

int main(int argc, char **argv)
{
    static struct load l;
    struct moment before, after;
    if (argc < 7 || (l.size = strtoul(argv[3], NULL, 10)) == 0) {
        fprintf(stderr, "usage: rdkafka_load BROKERS TOPIC SIZE WARMUP_S SECONDS BROKER_PID [-X KEY=VALUE]...\n");
        return 2;
    }
    double warmup = strtod(argv[4], NULL), seconds = strtod(argv[5], NULL);
    int64_t pid = strtoll(argv[6], NULL, 10);
    l.topic = argv[2];
    l.payload = malloc(l.size);
    if (l.payload == NULL) return 1;
    for (size_t i = 0; i < l.size; i++) l.payload[i] = (uint8_t)(i * 2654435761u >> 13);
    l.last_ns = clock_ns();
    l.from_ns = l.to_ns = INT64_MAX;
    bool good =
        connect_producer(&l, argv[1], argc - 7, argv + 7) && produce_until(&l, clock_ns() + (int64_t)(warmup * 1e9));
    if (good) {
        look(pid, &before);
        l.from_ns = clock_ns();
        l.to_ns = l.from_ns + (int64_t)(seconds * 1e9);
        good = produce_until(&l, l.to_ns);
        look(pid, &after);
    }
    if (good && rd_kafka_flush(l.producer, 60000) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(l.error, sizeof l.error, "records were left undelivered");
        good = false;
    }
    if (good && l.error[0] == '\0')
        report(&l, &before, &after);
    else
        fprintf(stderr, "rdkafka_load: %s\n", l.error);
    if (l.producer != NULL) rd_kafka_destroy(l.producer);
    free(l.payload);
    return good && l.error[0] == '\0' ? 0 : 1;
}
