// SPDX-License-Identifier: Apache-2.0
// Apache Kafka's Java clients against one broker: administration, an idempotent producer in every codec, a consumer
// with assigned partitions. Usage: JavaClient HOST:PORT (by java_test.py). The first thing that is not as it should be
// ends it with an exception.
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class JavaClient {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static final int COUNT = 2000;
    static final long FIRST_MS = 1_700_000_000_000L;

    static void must(boolean ok, String what) {
        if (!ok) throw new IllegalStateException(what);
    }

    static void fails(Class<? extends Exception> how, Future<?> future) throws Exception {
        try {
            future.get();
        } catch (ExecutionException e) {
            must(how.isInstance(e.getCause()), e.getCause() + " instead of " + how);
            return;
        }
        throw new IllegalStateException("no " + how);
    }

    static void topics(Admin admin) throws Exception {
        List<NewTopic> wanted = new ArrayList<>();
        for (String codec : CODECS) wanted.add(new NewTopic("java-" + codec, 3, (short) 1));
        NewTopic gone = new NewTopic("java-gone", Optional.of(1), Optional.empty());
        wanted.add(gone.configs(Map.of("retention.ms", "60000")));
        admin.createTopics(wanted).all().get();
        fails(TopicExistsException.class, admin.createTopics(wanted.subList(0, 1)).all());
        fails(InvalidTopicException.class, admin.createTopics(List.of(new NewTopic("no/name", 1, (short) 1))).all());
        TopicDescription d = admin.describeTopics(List.of("java-gzip")).allTopicNames().get().get("java-gzip");
        must(d.partitions().size() == 3 && d.partitions().get(2).isr().size() == 1, d.toString());
        must(admin.describeCluster().nodes().get().size() == 1, "nodes");
        must(admin.listTopics().names().get().containsAll(Set.of("java-none", "java-zstd", "java-gone")), "listTopics");
        admin.createPartitions(Map.of("java-gone", NewPartitions.increaseTo(4))).all().get();
        d = admin.describeTopics(List.of("java-gone")).allTopicNames().get().get("java-gone");
        must(d.partitions().size() == 4, "grown");
        admin.deleteTopics(List.of("java-gone")).all().get();
        fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of("java-gone")).all());
    }

    static void settings(Admin admin) throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "java-none");
        Collection<AlterConfigOp> set =
            List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "-1"), AlterConfigOp.OpType.SET));
        admin.incrementalAlterConfigs(Map.of(topic, set)).all().get();
        Config c = admin.describeConfigs(List.of(topic)).all().get().get(topic);
        must(c.get("retention.ms").value().equals("-1"), c.get("retention.ms").toString());
        must(c.get("retention.ms").source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
        must(c.get("cleanup.policy").isDefault(), "cleanup.policy");
    }

    static String value(String codec, int i) {
        return codec + " " + i + " " + "x".repeat(i % 300);
    }

    static void produce(String address, String codec) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("compression.type", codec);
        p.put("linger.ms", "5");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer =
                 new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < COUNT; i++) {
                RecordHeader number = new RecordHeader("number", Integer.toString(i).getBytes());
                sent.add(producer.send(new ProducerRecord<>("java-" + codec, i % 3, FIRST_MS + i, "key " + i,
                    value(codec, i), List.of(number))));
            }
        }
        for (int i = 0; i < COUNT; i++) must(sent.get(i).get().offset() == i / 3, codec + ": offset of " + i);
    }

    static void consume(String address, String codec) {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("enable.auto.commit", "false");
        List<TopicPartition> parts = new ArrayList<>();
        for (int i = 0; i < 3; i++) parts.add(new TopicPartition("java-" + codec, i));
        Map<TopicPartition, Long> next = new HashMap<>();
        int seen = 0;
        try (KafkaConsumer<String, String> consumer =
                 new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(parts);
            consumer.seekToBeginning(parts);
            long limit = System.nanoTime() + 60_000_000_000L;
            while (seen < COUNT && System.nanoTime() < limit) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(200))) {
                    TopicPartition at = new TopicPartition(r.topic(), r.partition());
                    must(r.offset() == next.getOrDefault(at, 0L), "offset " + r.offset() + " of " + at);
                    next.put(at, r.offset() + 1);
                    int i = (int) r.offset() * 3 + r.partition();
                    must(r.value().equals(value(codec, i)) && r.key().equals("key " + i), codec + ": record " + i);
                    must(r.timestamp() == FIRST_MS + i, codec + ": time of " + i);
                    String number = new String(r.headers().lastHeader("number").value());
                    must(number.equals(Integer.toString(i)), "header of " + i);
                    seen++;
                }
            }
            must(seen == COUNT, codec + ": " + seen + " of " + COUNT + " records");
            must(consumer.endOffsets(parts).get(parts.get(0)) == (COUNT + 2) / 3, "endOffsets");
            must(consumer.beginningOffsets(parts).get(parts.get(1)) == 0, "beginningOffsets");
            long found = consumer.offsetsForTimes(Map.of(parts.get(1), FIRST_MS + 1000)).get(parts.get(1)).offset();
            must(found == 333, "offsetsForTimes: " + found); // of partition 1 the record 1000 = 3 * 333 + 1
            consumer.seek(parts.get(2), 600);
            consumer.pause(parts.subList(0, 2));
            must(consumer.poll(Duration.ofSeconds(20)).iterator().next().offset() == 600, "seek");
        }
    }

    static void trim(Admin admin) throws Exception {
        TopicPartition at = new TopicPartition("java-lz4", 0);
        admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(100))).all().get();
        must(admin.listOffsets(Map.of(at, OffsetSpec.earliest())).all().get().get(at).offset() == 100, "deleteRecords");
        long latest = admin.listOffsets(Map.of(at, OffsetSpec.latest())).all().get().get(at).offset();
        must(latest == (COUNT + 2) / 3, "latest: " + latest);
        must(!admin.describeLogDirs(List.of(0)).allDescriptions().get().get(0).isEmpty(), "describeLogDirs");
    }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        try (Admin admin = Admin.create(p)) {
            topics(admin);
            settings(admin);
            for (String codec : CODECS) {
                produce(args[0], codec);
                consume(args[0], codec);
                System.out.println(codec + ": " + COUNT + " records");
            }
            trim(admin);
        }
        System.out.println("Java's clients are content");
    }
}
