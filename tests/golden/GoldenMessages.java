// SPDX-License-Identifier: Apache-2.0
// Golden frames: every message we have, at each version, with non-default values, written by Apache Kafka's own classes.
// See README.md. Fields are filled by reflection; SCHEMA_n of a class says which of them version n has.
import java.io.ByteArrayOutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class GoldenMessages {
    static final String[] VARIANTS = {"full", "null", "tags"}; // all set | nulls and empty lists | full plus unknown tags
    static int counter;
    static boolean nulls, unknown;

    static int next() { // 1 .. 120: no default, and one byte wide
        counter = counter % 120 + 1;
        return counter;
    }

    static String plain(String name) {
        return name.replace("_", "").toLowerCase();
    }

    // The fields that version v has: plain name -> its type there.
    static Map<String, org.apache.kafka.common.protocol.types.Type> fields(Class<?> c, short v) throws Exception {
        Map<String, org.apache.kafka.common.protocol.types.Type> out = new HashMap<>();
        for (BoundField f : ((Schema) c.getField("SCHEMA_" + v).get(null)).fields()) {
            out.put(plain(f.def.name), f.def.type);
            if (f.def.type instanceof TaggedFields)
                ((TaggedFields) f.def.type).fields().values().forEach(t -> out.put(plain(t.name), t.type));
        }
        return out;
    }

    // Without those that only versions had which are gone: Kafka's classes keep them.
    static List<Field> members(Class<?> c) throws Exception {
        Set<String> known = new HashSet<>();
        for (short v = c.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
             v <= c.getField("HIGHEST_SUPPORTED_VERSION").getShort(null); v++)
            known.addAll(fields(c, v).keySet());
        List<Field> out = new ArrayList<>();
        for (Field f : c.getDeclaredFields()) {
            if (Modifier.isStatic(f.getModifiers()) || !known.contains(plain(f.getName()))) continue;
            f.setAccessible(true);
            out.add(f);
        }
        return out;
    }

    static Class<?> element(Field f) {
        Type t = f.getGenericType();
        if (!(t instanceof ParameterizedType)) t = f.getType().getGenericSuperclass();
        return (Class<?>) ((ParameterizedType) t).getActualTypeArguments()[0];
    }

    @SuppressWarnings("unchecked")
    static Object value(Field f, Object old, boolean uint16, short v, int depth) throws Exception {
        Class<?> c = f.getType();
        if (c == boolean.class) return !(Boolean) old; // a new object's value is the default
        if (uint16) return next() * 257 + 0x8000;
        if (!Collection.class.isAssignableFrom(c)) return single(c, f.getName(), v, depth);
        Collection<Object> out = new ArrayList<>();
        if (c != List.class) out = (Collection<Object>) c.getConstructor().newInstance();
        int count = depth == 0 && !nulls ? 2 : 1;
        if (nulls && !Message.class.isAssignableFrom(element(f))) count = 0;
        for (int i = 0; i < count; i++)
            out.add(single(element(f), f.getName(), v, depth + 1));
        return out;
    }

    static Object single(Class<?> c, String name, short v, int depth) throws Exception {
        if (c == byte.class || c == Byte.class) return (byte) next();
        if (c == short.class || c == Short.class) return (short) (next() * 257);
        if (c == int.class || c == Integer.class) return next() * 0x01020304;
        if (c == long.class || c == Long.class) return next() * 0x0102030405060708L;
        if (c == double.class) return next() * 2.5 - 1.25; // never a whole number: those print differently
        if (c == byte[].class) return new byte[next()];
        if (c == ByteBuffer.class) return ByteBuffer.wrap(new byte[next()]);
        if (c == String.class) return name.substring(0, Math.min(6, name.length())) + next();
        if (c == Uuid.class) return new Uuid(next() * 0x0102030405060708L, -next());
        if (BaseRecords.class.isAssignableFrom(c)) return MemoryRecords.readableRecords(ByteBuffer.wrap(new byte[next()]));
        Message m = (Message) c.getConstructor().newInstance();
        fill(m, v, depth);
        return m;
    }

    static void fill(Message m, short v, int depth) throws Exception {
        var has = fields(m.getClass(), v);
        for (Field f : members(m.getClass())) {
            var type = has.get(plain(f.getName()));
            if (type == null) continue;
            boolean uint16 = type.toString().equals("UINT16");
            f.set(m, nulls && type.isNullable() ? null : value(f, f.get(m), uint16, v, depth));
        }
        if (!unknown) return;
        m.unknownTaggedFields().add(new RawTaggedField(90, new byte[0]));
        m.unknownTaggedFields().add(new RawTaggedField(1000, "later".getBytes(StandardCharsets.UTF_8)));
    }

    // The form of protocol/print.h, names without underscores.
    static String show(Object o) throws Exception {
        if (o == null) return "null";
        if (o instanceof Boolean) return (Boolean) o ? "1" : "0";
        if (o instanceof byte[]) return "<" + ((byte[]) o).length + " bytes>";
        if (o instanceof ByteBuffer) return "<" + ((ByteBuffer) o).remaining() + " bytes>";
        if (o instanceof Number) return o.toString();
        if (o instanceof String) return "\"" + o + "\"";
        if (o instanceof Uuid)
            return String.format("%016x%016x", ((Uuid) o).getMostSignificantBits(), ((Uuid) o).getLeastSignificantBits());
        if (o instanceof BaseRecords) return "<" + ((BaseRecords) o).sizeInBytes() + " bytes>";
        StringBuilder s = new StringBuilder();
        if (o instanceof Collection) {
            for (Object e : (Collection<?>) o) s.append(s.length() > 0 ? "," : "").append(show(e));
            return "[" + s + "]";
        }
        for (Field f : members(o.getClass()))
            s.append(s.length() > 0 ? " " : "").append(f.getName().toLowerCase()).append("=").append(show(f.get(o)));
        return "{" + s + "}";
    }

    static byte[] bytes(Message m, short v) {
        ByteBuffer b = MessageUtil.toByteBufferAccessor(m, v).buffer();
        byte[] out = new byte[b.remaining()];
        b.get(out);
        return out;
    }

    static byte[] frame(ApiKeys key, boolean request, Message body, short v) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Message header = new ResponseHeaderData().setCorrelationId(0x11223344);
        if (request)
            header = new RequestHeaderData().setRequestApiKey(key.id).setRequestApiVersion(v)
                .setCorrelationId(0x11223344).setClientId(nulls ? null : "leat-golden");
        short hv = request ? key.requestHeaderVersion(v) : key.responseHeaderVersion(v);
        if (unknown && hv == (request ? 2 : 1))
            header.unknownTaggedFields().add(new RawTaggedField(3, new byte[] {1, 2, 3}));
        out.write(bytes(header, hv));
        out.write(bytes(body, v));
        return ByteBuffer.allocate(4 + out.size()).putInt(out.size()).put(out.toByteArray()).array();
    }

    static Message create(ApiKeys key, boolean request) {
        return request ? key.messageType.newRequest() : key.messageType.newResponse();
    }

    // One frame, and what Kafka's reader makes of it.
    static byte[] make(ApiKeys key, boolean request, short v, int variant, StringBuilder text) throws Exception {
        counter = v * 7;
        nulls = variant == 1;
        unknown = variant == 2;
        Message m = create(key, request);
        fill(m, v, 0);
        byte[] body = bytes(m, v);
        Message read = create(key, request);
        read.read(new ByteBufferAccessor(ByteBuffer.wrap(body)), v);
        text.append(show(read)).append("\n");
        return frame(key, request, m, v);
    }

    static void corpus(Path dir, ApiKeys key, boolean request, short v, int variant, byte[] frame) throws Exception {
        String name = String.format("%s_%s_%d_%s", plain(key.name), request ? "request" : "response", v, VARIANTS[variant]);
        if (request && v == create(key, true).highestSupportedVersion() && variant != 1) // with headers
            Files.write(dir.resolve("frame").resolve(name), frame);
        // key and direction, version, body: tests/fuzz/request_fuzz.c
        int header = 8;
        if (request) header += 6 + (variant == 1 ? 0 : 11) + (key.requestHeaderVersion(v) == 2 ? variant == 2 ? 6 : 1 : 0);
        else header += key.responseHeaderVersion(v) == 1 ? variant == 2 ? 6 : 1 : 0;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(key.id | (request ? 0 : 0x80));
        out.write(v);
        out.write(frame, header, frame.length - header);
        Files.write(dir.resolve("request").resolve(name), out.toByteArray());
    }

    // make DIR KEY... | corpus DIR KEY...
    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[1]);
        for (int a = 2; a < args.length; a++) {
            ApiKeys key = ApiKeys.forId(Integer.parseInt(args[a]));
            short low = key.oldestVersion(), high = key.messageType.highestSupportedVersion(true); // unstable ones too
            for (boolean request : new boolean[] {true, false}) {
                ByteArrayOutputStream bin = new ByteArrayOutputStream();
                StringBuilder text = new StringBuilder();
                for (short v = low; v <= high; v++) {
                    boolean flexible = key.requestHeaderVersion(v) == 2;
                    for (int variant = 0; variant < (flexible ? 3 : 2); variant++) {
                        byte[] frame = make(key, request, v, variant, text);
                        bin.write(v);
                        bin.write(variant);
                        bin.write(frame);
                        boolean chosen = v == high && variant == 0 || request && (v == high || v == low && variant == 0);
                        if (args[0].equals("corpus") && chosen) corpus(dir, key, request, v, variant, frame);
                    }
                }
                if (!args[0].equals("make")) continue;
                String name = create(key, request).getClass().getSimpleName().replace("Data", "");
                Files.write(dir.resolve(name + ".bin"), bin.toByteArray());
                Files.writeString(dir.resolve(name + ".txt"), text);
            }
        }
    }
}
