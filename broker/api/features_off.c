// SPDX-License-Identifier: Apache-2.0
/* Requests of features that this broker does not have: answered as Apache Kafka answers them with the feature off, so
 * that tools and consoles that ask everybody everything go on. One stage each, errors in the place that the response
 * has for them.
 *
 *   security        SaslHandshake, SaslAuthenticate: ILLEGAL_SASL_STATE, as on a PLAINTEXT listener; ACLs:
 *                   SECURITY_DISABLED, as without an authorizer; delegation tokens: not allowed on a listener without
 *                   authentication
 *   transactions    none are there: ListTransactions finds none, DescribeTransactions does not know the id */
#include "broker/api/api.h"
#include "protocol/msg_create_acls.h"
#include "protocol/msg_create_delegation_token.h"
#include "protocol/msg_delete_acls.h"
#include "protocol/msg_describe_acls.h"
#include "protocol/msg_describe_delegation_token.h"
#include "protocol/msg_describe_transactions.h"
#include "protocol/msg_expire_delegation_token.h"
#include "protocol/msg_list_transactions.h"
#include "protocol/msg_renew_delegation_token.h"
#include "protocol/msg_sasl_authenticate.h"
#include "protocol/msg_sasl_handshake.h"

#define KAFKA_ILLEGAL_SASL_STATE                   34
#define KAFKA_SECURITY_DISABLED                    54
#define KAFKA_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED 64
#define KAFKA_TRANSACTIONAL_ID_NOT_FOUND           105

/* A flow of one stage that decodes the body, runs fill, and answers. */
#define OFF(api, fill)                                                                                                 \
    static int api##_stage(struct task *t)                                                                             \
    {                                                                                                                  \
        struct request *r = container_of(t, struct request, task);                                                     \
        const struct api##_request *q = api_decode(r, sizeof *q);                                                      \
        struct api##_response a;                                                                                       \
        if (q == NULL) return STAGE_DONE;                                                                              \
        api##_response_init(&a);                                                                                       \
        if (!fill(r, q, &a)) return api_no_memory(r);                                                                  \
        request_answer(r, &a);                                                                                         \
        return STAGE_DONE;                                                                                             \
    }                                                                                                                  \
    static const struct stage api##_stages[] = {{"answer", api##_stage, 0}};                                           \
    const struct flow api##_flow = {#api, api##_stages, 1};

static bool fill_handshake(struct request *r, const struct sasl_handshake_request *q, struct sasl_handshake_response *a)
{
    (void)r, (void)q;
    a->error_code = KAFKA_ILLEGAL_SASL_STATE;
    return true;
}
OFF(sasl_handshake, fill_handshake)

static bool fill_authenticate(struct request *r, const struct sasl_authenticate_request *q,
                              struct sasl_authenticate_response *a)
{
    (void)r, (void)q;
    a->error_code = KAFKA_ILLEGAL_SASL_STATE;
    a->error_message = STR("this listener has no authentication");
    return true;
}
OFF(sasl_authenticate, fill_authenticate)

/* ---- ACLs ---- */

#define NO_AUTHORIZER STR("this broker has no authorizer")

static bool fill_describe_acls(struct request *r, const struct describe_acls_request *q,
                               struct describe_acls_response *a)
{
    (void)r, (void)q;
    a->error_code = KAFKA_SECURITY_DISABLED;
    a->error_message = NO_AUTHORIZER;
    return true;
}
OFF(describe_acls, fill_describe_acls)

static bool fill_create_acls(struct request *r, const struct create_acls_request *q, struct create_acls_response *a)
{
    a->results = request_zalloc(r, (size_t)q->creations_count * sizeof *a->results);
    if (a->results == NULL) return false;
    a->results_count = q->creations_count;
    for (int32_t i = 0; i < a->results_count; i++) {
        create_acls_response_result_init(&a->results[i]);
        a->results[i].error_code = KAFKA_SECURITY_DISABLED;
        a->results[i].error_message = NO_AUTHORIZER;
    }
    return true;
}
OFF(create_acls, fill_create_acls)

static bool fill_delete_acls(struct request *r, const struct delete_acls_request *q, struct delete_acls_response *a)
{
    a->filter_results = request_zalloc(r, (size_t)q->filters_count * sizeof *a->filter_results);
    if (a->filter_results == NULL) return false;
    a->filter_results_count = q->filters_count;
    for (int32_t i = 0; i < a->filter_results_count; i++) {
        delete_acls_response_filter_init(&a->filter_results[i]);
        a->filter_results[i].error_code = KAFKA_SECURITY_DISABLED;
        a->filter_results[i].error_message = NO_AUTHORIZER;
    }
    return true;
}
OFF(delete_acls, fill_delete_acls)

/* ---- delegation tokens ---- */

#define TOKENS_OFF(api)                                                                                                \
    static bool fill_##api(struct request *r, const struct api##_request *q, struct api##_response *a)                 \
    {                                                                                                                  \
        (void)r, (void)q;                                                                                              \
        a->error_code = KAFKA_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;                                                    \
        return true;                                                                                                   \
    }                                                                                                                  \
    OFF(api, fill_##api)
TOKENS_OFF(create_delegation_token)
TOKENS_OFF(renew_delegation_token)
TOKENS_OFF(expire_delegation_token)
TOKENS_OFF(describe_delegation_token)

/* ---- transactions ---- */

static bool fill_describe_transactions(struct request *r, const struct describe_transactions_request *q,
                                       struct describe_transactions_response *a)
{
    a->transaction_states = request_zalloc(r, (size_t)q->transactional_ids_count * sizeof *a->transaction_states);
    if (a->transaction_states == NULL) return false;
    a->transaction_states_count = q->transactional_ids_count;
    for (int32_t i = 0; i < a->transaction_states_count; i++) {
        describe_transactions_response_transaction_init(&a->transaction_states[i]);
        a->transaction_states[i].transactional_id = q->transactional_ids[i];
        a->transaction_states[i].error_code = KAFKA_TRANSACTIONAL_ID_NOT_FOUND;
    }
    return true;
}
OFF(describe_transactions, fill_describe_transactions)

/* A state that no transaction can have is told back, as in Apache Kafka. */
static bool fill_list_transactions(struct request *r, const struct list_transactions_request *q,
                                   struct list_transactions_response *a)
{
    static const struct str states[] = {STR("Empty"),        STR("Ongoing"),          STR("PrepareCommit"),
                                        STR("PrepareAbort"), STR("CompleteCommit"),   STR("CompleteAbort"),
                                        STR("Dead"),         STR("PrepareEpochFence")};
    a->unknown_state_filters = request_zalloc(r, (size_t)q->state_filters_count * sizeof *a->unknown_state_filters);
    if (a->unknown_state_filters == NULL) return false;
    for (int32_t i = 0; i < q->state_filters_count; i++) {
        size_t k = 0, n = sizeof states / sizeof states[0];
        while (k < n && !str_equal(states[k], q->state_filters[i])) k++;
        if (k == n) a->unknown_state_filters[a->unknown_state_filters_count++] = q->state_filters[i];
    }
    return true;
}
OFF(list_transactions, fill_list_transactions)
