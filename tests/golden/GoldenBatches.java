// SPDX-License-Identifier: Apache-2.0
// Golden record batches made by Apache Kafka's own classes, and the reverse: reading ours with them. See README.md.
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.zip.CRC32C;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;

public class GoldenBatches {
    static final long T = 1700000000000L;
    static final Header[] NONE = new Header[0];

    static byte[] b(String s) {
        return s == null ? null : s.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] pattern(int len, int seed) { // bytes that do not compress well
        byte[] out = new byte[len];
        int x = seed;
        for (int i = 0; i < len; i++) {
            x = x * 1103515245 + 12345;
            out[i] = (byte) (x >>> 16);
        }
        return out;
    }

    static SimpleRecord[] mixed() {
        return new SimpleRecord[] {
            new SimpleRecord(T, b("key"), b("value"), NONE),
            new SimpleRecord(T + 5, null, b("no key"), NONE),
            new SimpleRecord(T - 1000, b("no value"), null, NONE),
            new SimpleRecord(T + 123456789L, b(""), b(""), NONE),
            new SimpleRecord(T + 1, b("h"), b("with headers"), new Header[] {
                new RecordHeader("a", b("1")), new RecordHeader("a", null), new RecordHeader("", b("")),
                new RecordHeader("gr\u00fcn", pattern(200, 7))}),
            new SimpleRecord(T + 2, (byte[]) null, null, NONE),
            new SimpleRecord(T + 3, b("zeros"), new byte[5000], NONE),
        };
    }

    static SimpleRecord[] large() { // several windows of each codec: 160 KB, half of it hard to compress
        SimpleRecord[] out = new SimpleRecord[8];
        for (int i = 0; i < out.length; i++)
            out[i] = new SimpleRecord(T + i, b("k" + i), i % 2 == 0 ? pattern(20000, i) : new byte[20000], NONE);
        return out;
    }

    static ByteBuffer build(CompressionType c, TimestampType t, long base, long pid, short epoch, int seq, boolean txn,
                            int leaderEpoch, long appendTime, SimpleRecord[] records) {
        MemoryRecordsBuilder m = new MemoryRecordsBuilder(ByteBuffer.allocate(1 << 20), (byte) 2,
            Compression.of(c).build(), t, base, appendTime, pid, epoch, seq, txn, false, leaderEpoch, 1 << 20);
        for (SimpleRecord r : records) m.append(r);
        return m.build().buffer();
    }

    static String hex(ByteBuffer v) { // long ones: length and CRC-32C
        if (v == null) return "null";
        if (v.remaining() > 64) {
            CRC32C crc = new CRC32C();
            int len = v.remaining();
            crc.update(v.duplicate());
            return String.format("c%d:%08x", len, crc.getValue());
        }
        StringBuilder s = new StringBuilder("x");
        for (ByteBuffer d = v.duplicate(); d.hasRemaining();) s.append(String.format("%02x", d.get()));
        return s.toString();
    }

    // One line for the batch, one for each record, one for each header: what batch_golden_test compares with.
    static String list(MutableRecordBatch b) {
        b.ensureValid();
        DefaultRecordBatch d = (DefaultRecordBatch) b;
        StringBuilder s = new StringBuilder();
        s.append(String.format("batch %d %d %d %s %s %d %d %d %d %d %d %d %d%n", b.baseOffset(), b.sizeInBytes(),
            b.partitionLeaderEpoch(), b.compressionType().name, b.timestampType() == TimestampType.LOG_APPEND_TIME
                ? "append" : "create", b.isTransactional() ? 1 : 0, b.isControlBatch() ? 1 : 0, b.lastOffset(),
            b.maxTimestamp(), b.producerId(), b.producerEpoch(), b.baseSequence(), b.countOrNull()));
        for (Record r : d) {
            s.append(String.format("record %d %d %s %s %d%n", r.offset(), r.timestamp(), hex(r.key()), hex(r.value()),
                r.headers().length));
            for (Header h : r.headers())
                s.append(String.format("header %s %s%n", hex(ByteBuffer.wrap(b(h.key()))),
                    hex(h.value() == null ? null : ByteBuffer.wrap(h.value()))));
        }
        return s.toString();
    }

    static void write(Path dir, String name, ByteBuffer buffer) throws Exception {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        Files.write(dir.resolve(name + ".bin"), bytes);
        StringBuilder s = new StringBuilder();
        for (MutableRecordBatch b : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) s.append(list(b));
        Files.write(dir.resolve(name + ".txt"), b(s.toString()));
    }

    static void make(Path dir) throws Exception {
        TimestampType create = TimestampType.CREATE_TIME, append = TimestampType.LOG_APPEND_TIME;
        short none = -1;
        for (CompressionType c : CompressionType.values()) {
            write(dir, "mixed_" + c.name, build(c, create, 0, -1, none, -1, false, -1, -1, mixed()));
            if (c != CompressionType.NONE)
                write(dir, "large_" + c.name, build(c, create, 0, -1, none, -1, false, -1, -1, large()));
        }
        SimpleRecord[] one = Arrays.copyOf(mixed(), 1);
        write(dir, "one", build(CompressionType.NONE, create, 0, -1, none, -1, false, -1, -1, one));
        write(dir, "append_time", build(CompressionType.NONE, append, 42, -1, none, -1, false, 3, T + 77, mixed()));
        write(dir, "append_time_lz4", build(CompressionType.LZ4, append, 42, -1, none, -1, false, 3, T + 77, mixed()));
        write(dir, "idempotent", build(CompressionType.NONE, create, 5000000000L, 123456789012L, (short) 7,
            Integer.MAX_VALUE - 2, false, 9, -1, mixed()));
        write(dir, "transactional", build(CompressionType.ZSTD, create, 1, 4001, (short) 0, 0, true, 1, -1, mixed()));
        write(dir, "control", MemoryRecords.withEndTransactionMarker(99, T, 5, 4001, (short) 2,
            new EndTransactionMarker(ControlRecordType.COMMIT, 11)).buffer());
        ByteBuffer empty = ByteBuffer.allocate(100);
        DefaultRecordBatch.writeEmptyHeader(empty, (byte) 2, 77, (short) 3, 10, 1000, 1009, 4, create, T, false, false);
        empty.flip();
        write(dir, "empty", empty);
    }

    // Lists every *.bin of a directory with Kafka's classes and compares with the *.txt beside it.
    static void verify(Path dir) throws Exception {
        int files = 0;
        try (var entries = Files.newDirectoryStream(dir, "*.bin")) {
            for (Path p : entries) {
                StringBuilder s = new StringBuilder();
                ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(p));
                for (MutableRecordBatch b : MemoryRecords.readableRecords(bytes).batches()) s.append(list(b));
                String want = Files.readString(Paths.get(p.toString().replaceAll("\\.bin$", ".txt")));
                if (s.length() == 0 || !want.equals(s.toString())) {
                    System.err.println(p + ": Kafka's classes read:\n" + s + "expected:\n" + want);
                    System.exit(1);
                }
                files++;
            }
        }
        if (files == 0) System.exit(1);
        System.out.println(files + " batches read by Kafka's classes");
    }

    public static void main(String[] args) throws Exception {
        if (args.length == 2 && args[0].equals("make")) make(Paths.get(args[1]));
        else if (args.length == 2 && args[0].equals("verify")) verify(Paths.get(args[1]));
        else System.exit(2);
    }
}
