package bench.matching;

import java.io.IOException;
import java.util.Arrays;

/** The needs into whose lists each event came, one event after the other. */
final class Entered {
  private int[] needs = new int[1024];
  private int number;
  private final long[] ends;
  private int events;

  Entered(int events) {
    this.ends = new long[events];
  }

  void add(int need) {
    if (number == needs.length) {
      needs = Arrays.copyOf(needs, 2 * number);
    }
    needs[number++] = need;
  }

  void endOfEvent() {
    ends[events++] = number;
  }

  void write() throws IOException {
    Answers.write("entered.ends", ends);
    Answers.write("entered.needs", needs, number);
  }
}
