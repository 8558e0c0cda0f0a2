package bench.matching;

/** The best ten so far, best first. A key holds the score and, below it, the rank by id turned round: the larger key is better. */
final class TopTen {
  static final int LENGTH = Layout.of("length");
  private static final int RANKS = Integer.MAX_VALUE;

  private final long[] keys;
  private final int begin;
  private int number;

  TopTen() {
    this(new long[LENGTH], 0, 0);
  }

  private TopTen(long[] keys, int begin, int number) {
    this.keys = keys;
    this.begin = begin;
    this.number = number;
  }

  /** The lists of many needs in one array. */
  static TopTen[] read(String name) throws java.io.IOException {
    Records written = Records.read(name, 8 * LENGTH);
    long[] keys = new long[written.number * LENGTH];
    TopTen[] lists = new TopTen[written.number];
    for (int list = 0; list < lists.length; list++) {
      int number = 0;
      for (int at = 0; at < LENGTH; at++) {
        long pair = Records.longAt(written.bytes, 8 * (list * LENGTH + at));
        if (pair >= 0) {
          keys[list * LENGTH + number++] = key((int) (pair >>> 32), (int) pair);
        }
      }
      lists[list] = new TopTen(keys, list * LENGTH, number);
    }
    return lists;
  }

  private static long key(int score, int rank) {
    return (long) score << 32 | RANKS - rank;
  }

  void clear() {
    number = 0;
  }

  /** What a pair needs at least to be looked at; one with the same score may still have the better id. */
  int atLeast() {
    return number < LENGTH ? 0 : (int) (keys[begin + LENGTH - 1] >>> 32);
  }

  /** Takes the offering in if it is among the best. */
  boolean enter(int score, int rank) {
    long key = key(score, rank);
    int end = begin + number;
    if (number == LENGTH) {
      if (key <= keys[end - 1]) {
        return false;
      }
      end--;
    } else {
      number++;
    }
    while (end > begin && keys[end - 1] < key) {
      keys[end] = keys[end - 1];
      end--;
    }
    keys[end] = key;
    return true;
  }

  /** Score and rank of each place, -1 where there is none. */
  void writeTo(int[] pairs, int to) {
    for (int at = 0; at < LENGTH; at++) {
      long key = at < number ? keys[begin + at] : -1;
      pairs[to + 2 * at] = key < 0 ? -1 : (int) (key >>> 32);
      pairs[to + 2 * at + 1] = key < 0 ? -1 : RANKS - (int) key;
    }
  }
}
