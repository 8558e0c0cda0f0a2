package bench.matching;

import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

/** Records of one kind behind each other in one array of bytes, as numpy wrote them. */
final class Records {
  private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  final byte[] bytes;
  final int width;
  final int number;

  private Records(byte[] bytes, int width) {
    this.bytes = bytes;
    this.width = width;
    this.number = bytes.length / width;
  }

  static Records read(String name, int width) throws IOException {
    Path file = Layout.FOLDER.resolve(name);
    return new Records(Files.readAllBytes(file), width);
  }

  int at(int record) {
    return record * width;
  }

  static long longAt(byte[] bytes, int at) {
    return (long) LONG.get(bytes, at);
  }

  static int intAt(byte[] bytes, int at) {
    return (int) INT.get(bytes, at);
  }
}
