// SPDX-License-Identifier: Apache-2.0
/* What the HTTP pages say in each state of the broker, and the round over the shards behind them: without HTTP, on a
 * fake env with one shard. The library and sockets are the integration test's. */
#include "broker/http_pages.h"
#include "tests/unit/env_fake.h"

static struct broker_config config;
static struct broker broker;
static struct shard shard;
static struct scrape scrape;
static struct pages pages;
static unsigned rounds;

static void round_ended(struct scrape *c)
{
    ASSERT(c == &scrape && !scrape_running(c));
    rounds++;
}

static void begin(void)
{
    world_open();
    w.env.shard = 0;
    w.env.shard_count = 1;
    w.complete_at_once = true; /* the worker is quick; its answer here says nothing */
    broker = (struct broker){.config = &config, .phase = PHASE_SERVE};
    disk_init(&broker.disk);
    shard = (struct shard){.env = &w.env, .broker = &broker};
    w.env.user = &shard;
    ASSERT(shard_metrics_init(&shard));
    ASSERT(scrape_init(&scrape, &shard, round_ended));
    pages_init(&pages, &shard, &scrape);
    rounds = 0;
}

static void end(void)
{
    pages_deinit(&pages);
    scrape_deinit(&scrape);
    shard_metrics_deinit(&shard);
    world_close();
}

static void go_round(void)
{
    unsigned before = rounds;
    scrape_start(&scrape, true);
    for (int i = 0; i < 5 && rounds == before; i++) turn_at(w.clock + 1000);
    ASSERT_EQ(rounds, before + 1);
}

static void expect(enum page page, unsigned code, const char *text)
{
    struct answer a;
    struct text *print = NULL;
    page_answer(&pages, page, &print, &a);
    ASSERT_EQ(a.code, code);
    ASSERT(a.text == NULL && print == NULL);
    ASSERT_STREQ(a.body, text);
}

static void paths_are_exact(void)
{
    ASSERT(page_of("/") == PAGE_INDEX && page_of("/metrics") == PAGE_METRICS && page_of("/healthz") == PAGE_HEALTH);
    ASSERT(page_of("/readyz") == PAGE_READY && page_of("") == PAGE_UNKNOWN && page_of("/metrics/") == PAGE_UNKNOWN);
    ASSERT(page_of("metrics") == PAGE_UNKNOWN && page_of("//") == PAGE_UNKNOWN);
    begin();
    expect(PAGE_UNKNOWN, 404, "not found; there are /metrics, /healthz and /readyz\n");
    end();
}

static void ready_only_while_serving(void)
{
    static const struct {
        enum phase phase;
        unsigned code;
        const char *text;
    } cases[] = {{PHASE_OPEN, 503, "not ready: open\n"},     {PHASE_METADATA, 503, "not ready: metadata\n"},
                 {PHASE_LISTEN, 503, "not ready: listen\n"}, {PHASE_SERVE, 200, "ok\n"},
                 {PHASE_DRAIN, 503, "not ready: drain\n"},   {PHASE_CLOSE, 503, "not ready: close\n"},
                 {PHASE_END, 503, "not ready: end\n"}};
    begin();
    ASSERT(!page_needs_round(&pages, PAGE_READY));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        broker.phase = cases[i].phase;
        expect(PAGE_READY, cases[i].code, cases[i].text);
    }
    end();
}

static void a_fenced_disk_is_neither_healthy_nor_ready(void)
{
    static const char fenced[] = "disk fenced: a write or flush failed, nothing is acknowledged any more\n";
    begin();
    ASSERT(page_needs_round(&pages, PAGE_HEALTH));
    go_round();
    expect(PAGE_HEALTH, 200, "ok\n");
    disk_fence(&broker.disk);
    ASSERT(!page_needs_round(&pages, PAGE_HEALTH)); /* told at once */
    expect(PAGE_HEALTH, 503, fenced);
    expect(PAGE_READY, 503, fenced);
    end();
}

static void a_shard_that_does_not_turn_is_named(void)
{
    struct answer a;
    begin();
    w.env.shard_count = 2; /* the fake keeps what is posted to the other one */
    scrape_start(&scrape, true);
    for (int i = 0; i < 5; i++) turn_at(w.clock + 1000);
    ASSERT(scrape_running(&scrape) && rounds == 0 && scrape_missing(&scrape) == 1);
    turn_at(w.clock + 7 * NS_PER_S);
    page_answer_late(&pages, &a);
    ASSERT_EQ(a.code, 503);
    ASSERT_STREQ(a.body, "shard 1 has not turned for 7 s\n");
    w.posted->run(&w.env, w.posted); /* it does now: as if the shard were this one */
    turn_at(w.clock + 1000);
    ASSERT_EQ(rounds, 1);
    end();
}

static const char *metrics_text(struct text **print)
{
    static char copy[256 << 10];
    struct answer a;
    page_answer(&pages, PAGE_METRICS, print, &a);
    ASSERT_EQ(a.code, 200);
    ASSERT(a.text != NULL && a.text == *print && a.text->size < sizeof copy);
    memcpy(copy, a.text->data, a.text->size);
    copy[a.text->size] = '\0';
    return copy;
}

static void one_text_is_shared_by_all_of_a_round(void)
{
    struct text *first = NULL, *second = NULL;
    begin();
    shard.count.accepted->value = 41;
    go_round();
    ASSERT(strstr(metrics_text(&first), "\nleat_connections_accepted_total 41\n") != NULL);
    shard.count.accepted->value = 42; /* after the round */
    ASSERT(strstr(metrics_text(&first), "\nleat_connections_accepted_total 41\n") != NULL);
    ASSERT_EQ(first->refs, 2);
    go_round();
    ASSERT(strstr(metrics_text(&second), "\nleat_connections_accepted_total 42\n") != NULL);
    ASSERT(second != first && second->refs == 1); /* the first one is still being read */
    text_unref(first);
    text_unref(first);
    text_unref(second);
    end();
}

static void slow_readers_hold_a_few_texts_at_most(void)
{
    struct text *held[PAGE_TEXTS] = {0}, *more = NULL;
    struct answer a;
    begin();
    for (int i = 0; i < PAGE_TEXTS; i++) {
        go_round();
        (void)metrics_text(&held[i]);
    }
    uint64_t used = mem_used(w.env.mem, MEM_FETCH);
    go_round();
    page_answer(&pages, PAGE_METRICS, &more, &a);
    ASSERT_EQ(a.code, 503);
    ASSERT_STREQ(a.body, "4 metrics texts are still being sent; try again\n");
    text_unref(held[2]);
    (void)metrics_text(&more);
    ASSERT(more == held[2] && mem_used(w.env.mem, MEM_FETCH) == used); /* its memory was kept */
    for (int i = 0; i < PAGE_TEXTS; i++) text_unref(held[i]);
    end();
}

static void no_memory_is_said(void)
{
    struct text *print = NULL;
    struct answer a;
    begin();
    go_round();
    mem_fail_nth(w.env.mem, 1);
    page_answer(&pages, PAGE_METRICS, &print, &a);
    ASSERT_EQ(a.code, 503);
    ASSERT_STREQ(a.body, "no memory for the metrics; raise leat.memory.bytes\n");
    for (int i = 0; i < 2000; i++) { /* samples that need more room than they have */
        char value[32];
        snprintf(value, sizeof value, "%d", i);
        struct metric_label l = {"n", value};
        ASSERT(metrics_counter(shard.metrics, "leat_many_total", "many", &l, 1) != NULL);
    }
    mem_fail_nth(w.env.mem, 1);
    go_round();
    page_answer(&pages, PAGE_METRICS, &print, &a);
    ASSERT_EQ(a.code, 503);
    go_round();
    ASSERT(strstr(metrics_text(&print), "leat_many_total{n=\"1999\"} 0\n") != NULL);
    text_unref(print);
    end();
}

static void a_slow_worker_holds_no_round_up(void)
{
    begin();
    go_round();
    ASSERT(scrape.usage_known);
    w.complete_at_once = false; /* the worker stands behind a hung disk */
    scrape_start(&scrape, true);
    for (int i = 0; i < 5; i++) turn_at(w.clock + 1000);
    ASSERT(scrape_running(&scrape) && scrape.away == 0);
    ASSERT_EQ(w.waited_until, scrape.begun.v + SCRAPE_USAGE_NS);
    turn_at(scrape.begun.v + SCRAPE_USAGE_NS);
    ASSERT(rounds == 2 && !scrape_running(&scrape) && !scrape_quiet(&scrape));
    scrape_start(&scrape, true); /* the same op still runs */
    for (int i = 0; i < 5; i++) turn_at(w.clock + 1000);
    env_complete(&w.env, &scrape.usage, STATUS_OK, 0, false);
    turn_at(w.clock + 1000);
    ASSERT(rounds == 3 && scrape_quiet(&scrape));
    end();
}

/* Health asks whether the loops turn: no values are copied, nobody waits for the worker. */
static void a_round_without_values_is_cheap(void)
{
    struct text *print = NULL;
    begin();
    shard.count.accepted->value = 1;
    go_round();
    shard.count.accepted->value = 2;
    w.complete_at_once = false;
    scrape_start(&scrape, false);
    for (int i = 0; i < 5; i++) turn_at(w.clock + 1000);
    ASSERT(rounds == 2 && scrape_quiet(&scrape));
    expect(PAGE_HEALTH, 200, "ok\n");
    w.complete_at_once = true;
    go_round();
    ASSERT(strstr(metrics_text(&print), "\nleat_connections_accepted_total 2\n") != NULL);
    text_unref(print);
    end();
}

TEST_MAIN("http_pages", {"paths are exact", paths_are_exact}, {"ready only while serving", ready_only_while_serving},
          {"a fenced disk is neither healthy nor ready", a_fenced_disk_is_neither_healthy_nor_ready},
          {"a shard that does not turn is named", a_shard_that_does_not_turn_is_named},
          {"one text is shared by all of a round", one_text_is_shared_by_all_of_a_round},
          {"slow readers hold a few texts at most", slow_readers_hold_a_few_texts_at_most},
          {"no memory is said", no_memory_is_said},
          {"a slow worker holds no round up", a_slow_worker_holds_no_round_up},
          {"a round without values is cheap", a_round_without_values_is_cheap})
