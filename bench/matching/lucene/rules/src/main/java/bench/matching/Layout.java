package bench.matching;

import java.io.IOException;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/**
 * Where the fields of a record lie, and the points of every outcome, as the harness wrote them down. They are read once into
 * constants, so that the compiled code has them as plain numbers.
 */
final class Layout {
  static final Path FOLDER = Path.of(System.getProperty("folder"));
  private static final Properties WRITTEN = read();

  private Layout() {}

  static int of(String name) {
    String value = WRITTEN.getProperty(name);
    if (value == null) {
      throw new IllegalStateException("layout.properties has no " + name);
    }
    return Integer.parseInt(value);
  }

  static int[] numbers(String name) {
    String[] parts = WRITTEN.getProperty(name).split(" ");
    int[] numbers = new int[parts.length];
    for (int at = 0; at < parts.length; at++) {
      numbers[at] = Integer.parseInt(parts[at]);
    }
    return numbers;
  }

  static long[] longs(String name) {
    String[] parts = WRITTEN.getProperty(name).split(" ");
    long[] numbers = new long[parts.length];
    for (int at = 0; at < parts.length; at++) {
      numbers[at] = Long.parseLong(parts[at]);
    }
    return numbers;
  }

  private static Properties read() {
    Properties written = new Properties();
    try (Reader reader = Files.newBufferedReader(FOLDER.resolve("layout.properties"))) {
      written.load(reader);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return written;
  }
}
