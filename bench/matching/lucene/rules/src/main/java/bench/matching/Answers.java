package bench.matching;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;

/** Writes times and answers for the harness, as numpy reads them. */
final class Answers {
  private static final int WARM_AFTER = 5_000;

  private Answers() {}

  /** How often to ask it all, so that what is measured last runs in compiled code. */
  static int rounds(int number) {
    return 2 + WARM_AFTER / Math.max(1, number);
  }

  static void write(String name, long[] numbers) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(8 * numbers.length).order(ByteOrder.LITTLE_ENDIAN);
    buffer.asLongBuffer().put(numbers);
    Files.write(Layout.FOLDER.resolve(name), buffer.array());
  }

  static void write(String name, int[] numbers, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(4 * length).order(ByteOrder.LITTLE_ENDIAN);
    buffer.asIntBuffer().put(numbers, 0, length);
    Files.write(Layout.FOLDER.resolve(name), buffer.array());
  }
}
