// SPDX-License-Identifier: Apache-2.0
/* The protocol that consumers embed in classic groups: subscriptions and assignments, an int16 version in front. What
 * is read points into the arena and the input. Versions above the newest we know are read as that one, as Kafka does.
 */
#pragma once
#include "broker/group/consumer_impl.h"
#include "protocol/msg_consumer_protocol_subscription.h"

enum embedded { EMBEDDED_OK, EMBEDDED_MALFORMED, EMBEDDED_CUSTOM, EMBEDDED_NO_MEMORY };

enum embedded subscription_read(struct arena *a, struct bytes metadata,
                                struct consumer_protocol_subscription *ret_subscription);
/* What it says the member has, with the ids of topics that exist; for owned_one_of and the like. False: no memory. */
bool subscription_owned(struct groups *gs, struct arena *a, const struct consumer_protocol_subscription *s,
                        struct owned_topics *ret_owned);
/* Topics that exist; each partition gets this epoch. CUSTOM: it has user data of an assignor, which would be lost.
 * Empty bytes: nothing is assigned. */
enum embedded assignment_read(struct groups *gs, struct arena *a, struct bytes assignment, int32_t epoch,
                              struct parts *ret_parts);
/* In the version of that subscription. False: no memory. */
bool assignment_write(struct groups *gs, struct arena *a, const struct parts *s, struct bytes subscription,
                      struct bytes *ret_assignment);
