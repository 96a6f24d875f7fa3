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

    // What is written: a request or response of an API, or a message without headers (key null). choice: how a fuzz target
    // finds it (tests/fuzz/request_fuzz.c, message_fuzz.c).
    record Kind(ApiKeys key, boolean request, Class<?> type, int choice) {
        Message create() throws Exception {
            return (Message) type.getConstructor().newInstance();
        }

        String name() {
            return type.getSimpleName().replaceAll("(Data|Schema)$", "");
        }

        boolean flexible(short v) throws Exception {
            for (BoundField f : ((Schema) type.getField("SCHEMA_" + v).get(null)).fields())
                if (f.def.type instanceof TaggedFields) return true;
            return false;
        }
    }

    static Kind kind(ApiKeys key, boolean request) {
        Message m = request ? key.messageType.newRequest() : key.messageType.newResponse();
        return new Kind(key, request, m.getClass(), key.id | (request ? 0 : 0x80));
    }

    static Kind kind(String name, int choice) throws Exception {
        for (String format : new String[] {"common.message.%s", "common.message.%sSchema", "coordinator.group.generated.%s"}) {
            try {
                return new Kind(null, false, Class.forName("org.apache.kafka." + String.format(format, name)), choice);
            } catch (ClassNotFoundException e) { // the next one
            }
        }
        throw new ClassNotFoundException(name);
    }

    static int plain;

    // As README.md makes them from the schema files: api:KEY, record:1:offset_commit, message:end_txn_marker
    static List<Kind> kinds(String argument) throws Exception {
        String[] part = argument.split(":");
        if (part[0].equals("api")) {
            ApiKeys key = ApiKeys.forId(Integer.parseInt(part[1]));
            return List.of(kind(key, true), kind(key, false));
        }
        StringBuilder camel = new StringBuilder();
        for (String word : part[part.length - 1].split("_")) camel.append(word.substring(0, 1).toUpperCase()).append(word.substring(1));
        if (part[0].equals("message")) return List.of(kind(camel.toString(), plain++));
        int choice = Integer.parseInt(part[1]) | 0x40;
        return List.of(kind(camel + "Key", choice), kind(camel + "Value", choice | 0x80));
    }

    static byte[] header(Kind k, short v) throws Exception {
        if (k.key == null) return new byte[0];
        Message header = new ResponseHeaderData().setCorrelationId(0x11223344);
        if (k.request)
            header = new RequestHeaderData().setRequestApiKey(k.key.id).setRequestApiVersion(v)
                .setCorrelationId(0x11223344).setClientId(nulls ? null : "leat-golden");
        short hv = k.request ? k.key.requestHeaderVersion(v) : k.key.responseHeaderVersion(v);
        if (unknown && hv == (k.request ? 2 : 1))
            header.unknownTaggedFields().add(new RawTaggedField(3, new byte[] {1, 2, 3}));
        return bytes(header, hv);
    }

    static byte[] frame(byte[] header, byte[] body) {
        int size = header.length + body.length;
        return ByteBuffer.allocate(4 + size).putInt(size).put(header).put(body).array();
    }

    // A body; text gets what Kafka's reader makes of it.
    static byte[] make(Kind k, short v, int variant, StringBuilder text) throws Exception {
        counter = v * 7;
        nulls = variant == 1;
        unknown = variant == 2;
        Message m = k.create();
        fill(m, v, 0);
        byte[] body = bytes(m, v);
        Message read = k.create();
        read.read(new ByteBufferAccessor(ByteBuffer.wrap(body)), v);
        text.append(show(read)).append("\n");
        return body;
    }

    // Fuzz inputs. frame: requests with headers. request, message: choice, version, body.
    static void corpus(Path dir, Kind k, short v, int variant, byte[] header, byte[] body) throws Exception {
        boolean highest = v == k.create().highestSupportedVersion(), api = k.key != null;
        boolean chosen = highest && variant == 0 || api && k.request && (highest || variant == 0 && v == k.key.oldestVersion());
        if (!chosen) return;
        String stem = api ? plain(k.key.name) + (k.request ? "_request" : "_response") : plain(k.name());
        String name = String.format("%s_%d_%s", stem, v, VARIANTS[variant]);
        if (api && k.request && highest && variant != 1) Files.write(dir.resolve("frame").resolve(name), frame(header, body));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(k.choice);
        out.write(v);
        out.write(body);
        Files.write(dir.resolve(api ? "request" : "message").resolve(name), out.toByteArray());
    }

    // make DIR ARGUMENT... | corpus DIR ARGUMENT...
    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[1]);
        for (int a = 2; a < args.length; a++) {
            for (Kind k : kinds(args[a])) {
                ByteArrayOutputStream bin = new ByteArrayOutputStream();
                StringBuilder text = new StringBuilder();
                short high = k.create().highestSupportedVersion(); // unstable ones too
                for (short v = k.create().lowestSupportedVersion(); v <= high; v++) {
                    for (int variant = 0; variant < (k.flexible(v) ? 3 : 2); variant++) {
                        byte[] body = make(k, v, variant, text), header = header(k, v);
                        bin.write(v);
                        bin.write(variant);
                        bin.write(frame(header, body));
                        if (args[0].equals("corpus")) corpus(dir, k, v, variant, header, body);
                    }
                }
                if (!args[0].equals("make")) continue;
                Files.write(dir.resolve(k.name() + ".bin"), bin.toByteArray());
                Files.writeString(dir.resolve(k.name() + ".txt"), text);
            }
        }
    }
}
